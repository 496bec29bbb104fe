//! Who is in, and how each left: every session that was let in is ended once, with a cause,
//! however many notice its end.

use std::collections::HashMap;

use crate::ending::EndCause;
use crate::id::SessionId;
use crate::mutant::{self, Mutant};
use crate::pool::Moment;

/// The sessions that are in, since when.
#[derive(Debug, Default)]
pub struct Book {
    sessions: HashMap<SessionId, Moment>,
}

/// The end record of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which session.
    pub session: SessionId,
    /// Why it ended.
    pub cause: EndCause,
    /// When it was let in.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
}

impl Book {
    /// A session was let in.
    pub fn begin(&mut self, session: SessionId, now: Moment) {
        self.sessions.insert(session, now);
    }

    /// The session is over. The first to say so says why; `None` for everybody after.
    pub fn end(&mut self, session: &SessionId, cause: EndCause, now: Moment) -> Option<Record> {
        let began = *self.sessions.get(session)?;
        if !mutant::is(Mutant::CountAnEndTwice) {
            self.sessions.remove(session);
        }
        Some(Record { session: session.clone(), cause, began, ended: now })
    }

    /// True for a session that is in.
    pub fn has(&self, session: &SessionId) -> bool {
        self.sessions.contains_key(session)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_once_by_the_first_cause() {
        let (mut book, session) = (Book::default(), SessionId("s".into()));
        let (began, ended) = (Moment::from_secs(3), Moment::from_secs(5));
        book.begin(session.clone(), began);
        let record = book.end(&session, EndCause::ClientClose, ended).unwrap();
        assert_eq!((record.cause, record.began), (EndCause::ClientClose, began));
        assert_eq!(book.end(&session, EndCause::WorkerLost, ended), None);
        assert!(book.is_empty());
    }
}
