//! Who is in, and how each left: every session that was let in is ended once, with a cause,
//! however many notice its end.

use std::collections::HashMap;

use crate::ending::EndCause;
use crate::id::SessionId;
use crate::pool::Moment;

/// The sessions that are in. `T` is what the owner keeps for each.
#[derive(Debug)]
pub struct Book<T> {
    sessions: HashMap<SessionId, (Moment, T)>,
}

/// The end record of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<T> {
    /// Which session.
    pub session: SessionId,
    /// Why it ended.
    pub cause: EndCause,
    /// When it was let in.
    pub began: Moment,
    /// What its owner kept.
    pub kept: T,
}

impl<T> Book<T> {
    /// Nobody is in.
    pub fn new() -> Self {
        Self { sessions: HashMap::new() }
    }

    /// A session was let in.
    pub fn begin(&mut self, session: SessionId, kept: T, now: Moment) {
        self.sessions.insert(session, (now, kept));
    }

    /// The session is over. The first to say so says why; `None` for everybody after.
    pub fn end(&mut self, session: &SessionId, cause: EndCause) -> Option<Record<T>> {
        let (began, kept) = self.sessions.remove(session)?;
        Some(Record { session: session.clone(), cause, began, kept })
    }

    /// What is kept for a session that is in.
    pub fn get(&self, session: &SessionId) -> Option<&T> {
        self.sessions.get(session).map(|(_, kept)| kept)
    }

    /// Everybody who is in, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionId, &T)> {
        self.sessions.iter().map(|(session, (_, kept))| (session, kept))
    }

    /// How many are in.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// True when nobody is in.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }
}

impl<T> Default for Book<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_once_by_the_first_cause() {
        let (mut book, session) = (Book::new(), SessionId("s".into()));
        book.begin(session.clone(), "kept", Moment::from_secs(3));
        let record = book.end(&session, EndCause::ClientClose).unwrap();
        assert_eq!((record.cause, record.kept), (EndCause::ClientClose, "kept"));
        assert_eq!(record.began, Moment::from_secs(3));
        assert_eq!(book.end(&session, EndCause::WorkerLost), None);
        assert!(book.is_empty());
    }
}
