//! Asking a grid about itself, beside the sessions.

use std::time::Duration;

use flotilla_core::status::Status;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::http::{self, Answer, HttpError};

/// Why a grid did not say how it is.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody there, or not somebody who speaks HTTP.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// Somebody there, but he does not have this page.
    #[error("it answers /{page} with {status} {reason}: is that a Flotilla grid?")]
    Refused {
        /// What was asked for.
        page: &'static str,
        /// The status code.
        status: u16,
        /// The words beside it.
        reason: String,
    },
    /// A page that cannot be understood.
    #[error("its /{page} cannot be read: {why}")]
    Unreadable {
        /// What was asked for.
        page: &'static str,
        /// What is wrong with it.
        why: serde_json::Error,
    },
}

impl AskError {
    /// True when the address leads nowhere, which says nothing about the grid.
    pub const fn is_bad_address(&self) -> bool {
        matches!(self, Self::Http(HttpError::Resolve { .. }))
    }
}

/// Asks for a page beneath the grid's address, whatever the answer's status.
pub async fn page(endpoint: &Endpoint, page: &str, within: Duration) -> Result<Answer, AskError> {
    let headers = [
        ("User-Agent".to_owned(), "flotilla".to_owned()),
        ("Accept".to_owned(), "text/plain, */*".to_owned()),
    ];
    let target = endpoint.beneath(page);
    let answered = timeout(within, http::get(endpoint, &target, &headers)).await;
    Ok(answered.map_err(|_| AskError::Timeout(within))??)
}

/// What the grid says about itself.
pub async fn status(endpoint: &Endpoint, within: Duration) -> Result<Status, AskError> {
    const PAGE: &str = "status.json";
    let answer = page(endpoint, PAGE, within).await?;
    if !answer.is_success() {
        return Err(AskError::Refused { page: PAGE, status: answer.status, reason: answer.reason });
    }
    let unreadable = |why| AskError::Unreadable { page: PAGE, why };
    serde_json::from_slice(&answer.body).map_err(unreadable)
}
