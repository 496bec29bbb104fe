//! Header lines: kept in their order, found without regard to case.

/// One header line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name, in the case it came in.
    pub name: String,
    /// The value, without the blanks around it. Any bytes but control characters.
    pub value: Vec<u8>,
}

/// The headers of a head, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    lines: Vec<Header>,
}

// === impl Headers ===

impl Headers {
    pub(super) fn from_parser(parsed: &[httparse::Header<'_>]) -> Self {
        let line =
            |h: &httparse::Header<'_>| Header { name: h.name.to_owned(), value: h.value.to_vec() };
        Self { lines: parsed.iter().map(line).collect() }
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = &Header> {
        self.lines.iter()
    }

    /// The bytes of the first header of that name.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let same = |line: &&Header| line.name.eq_ignore_ascii_case(name);
        self.lines.iter().find(same).map(|line| line.value.as_slice())
    }

    /// The first header of that name, when it is UTF-8.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_bytes(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Whether there is a header of that name.
    pub fn contains(&self, name: &str) -> bool {
        self.get_bytes(name).is_some()
    }

    /// The values of every header of that name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        let same = move |line: &&Header| line.name.eq_ignore_ascii_case(name);
        self.lines.iter().filter(same).map(|line| line.value.as_slice())
    }

    /// Whether `token` is among the comma-separated values of that header. Without regard to case.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        self.all(name)
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
    }

    /// Sets a header: in the place of the first of that name, or at the end.
    pub fn set(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let same = |line: &Header| line.name.eq_ignore_ascii_case(name);
        let Some(first) = self.lines.iter().position(same) else {
            return self.append(name, value);
        };
        self.lines[first].value = on_one_line(value.as_ref());
        let mut at = 0;
        self.lines.retain(|line| {
            at += 1;
            at - 1 <= first || !same(line)
        });
    }

    /// Adds a header at the end.
    pub fn append(&mut self, name: &str, value: impl AsRef<[u8]>) {
        let name = name.chars().filter(|c| c.is_ascii_graphic() && *c != ':').collect();
        self.lines.push(Header { name, value: on_one_line(value.as_ref()) });
    }

    /// Removes every header of that name. Says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.lines.len();
        self.lines.retain(|line| !line.name.eq_ignore_ascii_case(name));
        self.lines.len() < before
    }

    /// The lines and the empty line after them, as on the wire.
    pub(super) fn write_to(&self, out: &mut Vec<u8>) {
        for line in &self.lines {
            out.extend_from_slice(line.name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(&line.value);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// A value cannot start a line of its own, whoever made it.
fn on_one_line(value: &[u8]) -> Vec<u8> {
    value.iter().copied().filter(|byte| !matches!(byte, b'\r' | b'\n' | 0)).collect()
}
