//! What the command line says: data on stdout, talk on stderr.
//!
//! The only place that writes to either. Colour is for terminals and never carries meaning of
//! its own; `NO_COLOR` turns it off.

use std::fmt::Display;
use std::io::{IsTerminal, Write};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::termios::tcgetwinsize;
use serde::Serialize;

/// Writes to stdout and stderr.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    color_out: bool,
    color_err: bool,
}

impl Printer {
    /// A printer that colours what goes to a terminal, unless `NO_COLOR` is set.
    pub fn from_env() -> Self {
        let allowed = std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
            && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
        Self {
            color_out: allowed && std::io::stdout().is_terminal(),
            color_err: allowed && std::io::stderr().is_terminal(),
        }
    }

    /// A printer that never colours.
    pub const fn plain() -> Self {
        Self { color_out: false, color_err: false }
    }

    /// Whether stdout is shown in colour.
    pub const fn colors(self) -> bool {
        self.color_out
    }

    /// One line of data.
    pub fn out(self, line: impl Display) {
        write_line(&mut std::io::stdout().lock(), line);
    }

    /// Control characters for a terminal, without a newline.
    pub fn out_raw(self, text: &str) {
        let mut out = std::io::stdout().lock();
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// Whether anybody can still read stdout: for commands that would go on without an end.
    pub fn has_reader(self) -> bool {
        let stdout = std::io::stdout();
        let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
        // A pipe without a reader is in error; a poll that fails says nothing.
        rustix::event::poll(&mut fds, Some(&Timespec::default())).is_err()
            || !fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP)
    }

    /// Columns and lines of the terminal that shows stdout, if one does.
    pub fn screen(self) -> Option<(usize, usize)> {
        let stdout = std::io::stdout();
        let size = stdout.is_terminal().then(|| tcgetwinsize(&stdout).ok()).flatten()?;
        (size.ws_col > 0).then_some((size.ws_col.into(), size.ws_row.into()))
    }

    /// Asks a person at a terminal; `None` where there is nobody to ask.
    pub fn confirm(self, question: &str) -> Option<bool> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return None;
        }
        let mut err = std::io::stderr().lock();
        let _ = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
        let mut answer = String::new();
        // A terminal that is gone has not said yes.
        let _ = std::io::stdin().read_line(&mut answer);
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// Data for programs: one JSON document.
    pub fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        self.out(serde_json::to_string_pretty(value)?);
        Ok(())
    }

    /// An event for programs that read line by line: one JSON document on one line.
    pub fn json_line(self, value: &impl Serialize) -> anyhow::Result<()> {
        self.out(serde_json::to_string(value)?);
        Ok(())
    }

    /// One line of talk.
    pub fn note(self, line: impl Display) {
        write_line(&mut std::io::stderr().lock(), line);
    }

    /// What went wrong, and what to do about it.
    pub fn error(self, message: impl Display, hint: Option<&str>) {
        self.note(render_error(&message.to_string(), hint, self.color_err));
    }

    /// `text` as it is to look on stdout.
    pub fn paint(self, paint: Paint, text: &str) -> String {
        paint.apply(text, self.color_out)
    }
}

/// A failed write has nobody to be told to: a reader such as `head` that has left has seen what
/// it wanted, and the exit code still tells the result.
fn write_line(to: &mut impl Write, line: impl Display) {
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}

fn render_error(message: &str, hint: Option<&str>, color: bool) -> String {
    let mut text = format!("{}: {message}", Paint::Bad.apply("error", color));
    if let Some(hint) = hint {
        text.push_str(&format!("\n{}: {hint}", Paint::Strong.apply("hint", color)));
    }
    text
}

/// How a piece of text looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    /// As it should be.
    Good,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
    /// Beside the point.
    Dim,
    /// A heading.
    Strong,
}

impl Paint {
    fn apply(self, text: &str, color: bool) -> String {
        if !color || text.is_empty() {
            return text.to_owned();
        }
        let code = match self {
            Self::Good => "32",
            Self::Warn => "33",
            Self::Bad => "31;1",
            Self::Dim => "2",
            Self::Strong => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// Columns of words are not cut below this.
const NARROWEST: usize = 10;

fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// To which side of its column a cell keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Rows under headings, columns as wide as their widest cell.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<(String, Option<Paint>)>>,
}

impl Table {
    /// A table with these headings and no rows.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(h, a)| (h.to_owned(), a));
        Self { columns: columns.collect(), rows: Vec::new() }
    }

    /// One more row. Cells beyond the headings are left out; missing ones are empty.
    pub fn row<C: Into<String>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.painted_row(cells.into_iter().map(|c| (c.into(), None)));
    }

    /// One more row, each cell with its look.
    pub fn painted_row(&mut self, cells: impl IntoIterator<Item = (String, Option<Paint>)>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).collect());
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// As [`Table::render`], no wider than the terminal: the widest columns are cut.
    pub fn show(&self, printer: Printer) -> String {
        match printer.screen() {
            Some((columns, _)) => self.cut(columns).render(printer.colors()),
            None => self.render(printer.colors()),
        }
    }

    /// The same table with its widest columns cut until a line fits into so many columns, as far
    /// as that can be without making them unreadable.
    fn cut(&self, columns: usize) -> Self {
        let mut widths = self.widths();
        let gaps = 2 * widths.len().saturating_sub(1);
        let numbers = |place: usize| self.columns[place].1 == Align::Right;
        while widths.iter().sum::<usize>() + gaps > columns {
            let words = (0..widths.len()).filter(|place| !numbers(*place));
            let Some(widest) = words.max_by_key(|place| widths[*place]) else { break };
            if widths[widest] <= NARROWEST {
                break;
            }
            widths[widest] -= 1;
        }
        let mut rows = self.rows.clone();
        for row in &mut rows {
            for ((text, _), width) in row.iter_mut().zip(&widths) {
                *text = shorten(text, *width);
            }
        }
        let heads = self.columns.iter().zip(&widths);
        let columns = heads.map(|((head, align), width)| (shorten(head, *width), *align)).collect();
        Self { columns, rows }
    }

    /// The lines, without a last newline and without blanks at the end of a line.
    pub fn render(&self, color: bool) -> String {
        let widths = self.widths();
        let headings = self.columns.iter().map(|(h, _)| (h.clone(), Some(Paint::Strong))).collect();
        std::iter::once(&headings)
            .chain(&self.rows)
            .map(|row| self.line(row, &widths, color))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn widths(&self) -> Vec<usize> {
        let cell = |row: &Vec<(String, Option<Paint>)>, i: usize| {
            row.get(i).map_or(0, |(text, _)| text.chars().count())
        };
        self.columns
            .iter()
            .enumerate()
            .map(|(i, (heading, _))| {
                let widest = self.rows.iter().map(|row| cell(row, i)).max();
                widest.unwrap_or(0).max(heading.chars().count())
            })
            .collect()
    }

    fn line(&self, row: &[(String, Option<Paint>)], widths: &[usize], color: bool) -> String {
        let mut line = String::new();
        // Blanks are owed and paid only before text, so that no line ends in them.
        let mut owed = 0;
        for (i, (text, paint)) in row.iter().enumerate() {
            let room = widths[i] - text.chars().count();
            let (before, after) = match self.columns[i].1 {
                Align::Left => (0, room),
                Align::Right => (room, 0),
            };
            owed += before;
            if !text.is_empty() {
                line.extend(std::iter::repeat_n(' ', owed));
                owed = 0;
                line.push_str(&paint.map_or_else(|| text.clone(), |p| p.apply(text, color)));
            }
            owed += after + 2;
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        let mut table =
            Table::new([("BROWSER", Align::Left), ("USED", Align::Right), ("NOTE", Align::Left)]);
        table.row(["chromium", "12", ""]);
        table.row(["firefox", "3", "cold"]);
        table
    }

    #[test]
    fn a_table_aligns_words_left_and_numbers_right() {
        assert_eq!(
            sample().render(false),
            "BROWSER   USED  NOTE\nchromium    12\nfirefox      3  cold"
        );
    }

    #[test]
    fn colour_changes_no_width() {
        let mut table = sample();
        table.painted_row([("webkit".to_owned(), Some(Paint::Bad)), ("0".to_owned(), None)]);
        let plain = table.render(false);
        let mut bare = table.render(true);
        for code in ["\x1b[1m", "\x1b[31;1m", "\x1b[0m"] {
            bare = bare.replace(code, "");
        }
        assert_eq!(bare, plain);
        assert!(table.render(true).contains("\x1b[31;1mwebkit\x1b[0m"));
    }

    #[test]
    fn a_table_that_is_too_wide_loses_the_ends_of_its_longest_words() {
        let mut table = sample();
        table.row(["chromium", "7", "it could not prove that it knows the fleet's secret"]);
        let cut = table.cut(30).render(false);
        assert!(cut.lines().all(|line| line.chars().count() <= 30), "{cut}");
        assert!(cut.contains("chromium     7  it could not …"), "{cut}");
        let tiny = table.cut(3).render(false);
        assert!(tiny.contains("it could …"), "no narrower than can be read: {tiny}");
        assert_eq!(table.cut(200).render(false), table.render(false));
    }

    #[test]
    fn an_error_says_what_to_do() {
        assert_eq!(
            render_error("no grid there", Some("start one with `flotilla up`"), false),
            "error: no grid there\nhint: start one with `flotilla up`"
        );
        assert_eq!(render_error("no", None, false), "error: no");
    }
}
