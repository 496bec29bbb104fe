//! A grid as its operator speaks to it: any gateway of a fleet, or a grid in one process.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use flotilla_core::advert::is_name;
use flotilla_core::call::Call;
use flotilla_core::config::Loaded;
use flotilla_core::keyring::Keyring;
use flotilla_core::operator::{
    EndSession, HEADER, OneGateway, OneWorker, PATH, SessionEnded, SessionList, Shutdown,
    WorkerList,
};
use flotilla_core::status::WorkerStatus;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::commands::front_door;
use crate::parts::random;
use crate::probe::{Answer, Endpoint, HttpError, get, post};
use crate::roles::secret;

/// What the settings say about whom to ask, and what vouches for who asks.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The grid to ask where no other is named.
    pub endpoint: String,
    /// The fleet's secret, where there is one.
    pub keyring: Option<Keyring>,
}

impl Settings {
    /// Reads them.
    ///
    /// # Errors
    /// When there is a secret that is none, or its file cannot be read.
    pub fn of(loaded: &Loaded) -> anyhow::Result<Self> {
        let listen = &loaded.config.listen;
        Ok(Self {
            endpoint: front_door(&listen.host, listen.port),
            keyring: secret::if_any(&loaded.config.fleet)?,
        })
    }
}

/// Why the grid did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Nobody there, or not somebody who speaks HTTP.
    #[error("{0}")]
    Http(#[from] HttpError),
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// It said no, and why.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The code for programs.
        code: String,
        /// The words.
        message: String,
    },
    /// Its answer cannot be understood.
    #[error("its answer cannot be read: {0}")]
    Unreadable(String),
}

impl OperatorError {
    /// A word for programs.
    pub fn code(&self) -> &str {
        match self {
            Self::Http(_) => "unreachable",
            Self::Timeout(_) => "timeout",
            Self::Refused { code, .. } => code,
            Self::Unreadable(_) => "unreadable",
        }
    }

    /// Whether the grid itself could not be asked, so that asking on makes no sense.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Http(_) | Self::Timeout(_) | Self::Unreadable(_) => true,
            Self::Refused { status, .. } => matches!(status, 401 | 403),
        }
    }
}

/// A grid that can be asked.
#[derive(Clone, Debug)]
pub struct Operator {
    endpoint: Endpoint,
    keyring: Option<Keyring>,
    within: Duration,
}

impl Operator {
    /// Asks this grid, and waits so long for each answer.
    pub fn new(endpoint: Endpoint, keyring: Option<Keyring>, within: Duration) -> Self {
        Self { endpoint, keyring, within }
    }

    /// Where the grid is.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Every worker, by name.
    ///
    /// # Errors
    /// Why the grid did not say.
    pub async fn workers(&self) -> Result<Vec<WorkerStatus>, OperatorError> {
        let mut list: WorkerList = self.get("workers").await?;
        list.workers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(list.workers)
    }

    /// The sessions of one worker, or of all.
    ///
    /// # Errors
    /// Why the grid did not say.
    pub async fn sessions(&self, of: Option<&str>) -> Result<SessionList, OperatorError> {
        match of {
            Some(worker) => self.get(&format!("workers/{}/sessions", name(worker)?)).await,
            None => self.get("sessions").await,
        }
    }

    /// Has a worker take no new sessions.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn drain(&self, worker: &str) -> Result<WorkerStatus, OperatorError> {
        self.order(worker, "drain", &()).await
    }

    /// Has a worker take sessions again.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn undrain(&self, worker: &str) -> Result<WorkerStatus, OperatorError> {
        self.order(worker, "undrain", &()).await
    }

    /// Has a worker end after its last session.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn shutdown(
        &self,
        worker: &str,
        wish: Shutdown,
    ) -> Result<WorkerStatus, OperatorError> {
        self.order(worker, "shutdown", &wish).await
    }

    /// Has the gateway that is asked take no clients: its balancer sends them elsewhere.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn drain_gateway(&self) -> Result<OneGateway, OperatorError> {
        self.post("gateway/drain", &()).await
    }

    /// Has the gateway that is asked take clients again.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn undrain_gateway(&self) -> Result<OneGateway, OperatorError> {
        self.post("gateway/undrain", &()).await
    }

    /// Has the gateway that is asked end after its last session.
    ///
    /// # Errors
    /// Why it is not so.
    pub async fn shut_gateway_down(&self) -> Result<OneGateway, OperatorError> {
        self.post("gateway/shutdown", &()).await
    }

    /// Ends a session; on this worker, where that is known.
    ///
    /// # Errors
    /// Why it has not ended.
    pub async fn end(
        &self,
        session: &str,
        reason: &str,
        on: Option<&str>,
    ) -> Result<SessionEnded, OperatorError> {
        let wish = EndSession { reason: reason.to_owned(), worker: on.map(ToOwned::to_owned) };
        self.post(&format!("sessions/{}/end", name(session)?), &wish).await
    }

    async fn order(
        &self,
        worker: &str,
        deed: &str,
        wish: &impl Serialize,
    ) -> Result<WorkerStatus, OperatorError> {
        let done: OneWorker = self.post(&format!("workers/{}/{deed}", name(worker)?), wish).await?;
        Ok(done.worker)
    }

    async fn get<T: DeserializeOwned>(&self, what: &str) -> Result<T, OperatorError> {
        let (target, headers) = self.request("GET", what, b"")?;
        self.read(get(&self.endpoint, &target, &headers)).await
    }

    /// The unit value is no body at all.
    async fn post<T: DeserializeOwned>(
        &self,
        what: &str,
        wish: &impl Serialize,
    ) -> Result<T, OperatorError> {
        // Types of our own always become JSON.
        let body = serde_json::to_vec(wish).unwrap_or_default();
        let body = if body == b"null" { &b""[..] } else { &body };
        let (target, headers) = self.request("POST", what, body)?;
        self.read(post(&self.endpoint, &target, &headers, body)).await
    }

    /// The target of a request, and the headers with what vouches for it.
    fn request(
        &self,
        method: &str,
        what: &str,
        body: &[u8],
    ) -> Result<(String, Vec<(String, String)>), OperatorError> {
        let path = format!("{PATH}{what}");
        let mut headers = vec![
            ("User-Agent".to_owned(), "flotilla".to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            (HEADER.to_owned(), "1".to_owned()),
        ];
        if let Some(keyring) = &self.keyring {
            let call = Call { method, path: &path, body };
            let token = token(keyring, &call).map_err(|why| {
                OperatorError::Unreadable(format!("no token can be made: {why:#}"))
            })?;
            headers.push(("Authorization".to_owned(), format!("Bearer {token}")));
        }
        Ok((self.endpoint.beneath(path.trim_start_matches('/')), headers))
    }

    async fn read<T: DeserializeOwned>(
        &self,
        answer: impl Future<Output = Result<Answer, HttpError>>,
    ) -> Result<T, OperatorError> {
        let answer = timeout(self.within, answer).await;
        let answer = answer.map_err(|_| OperatorError::Timeout(self.within))??;
        if !answer.is_success() {
            return Err(refused(&answer));
        }
        let unreadable = |why: serde_json::Error| OperatorError::Unreadable(why.to_string());
        serde_json::from_slice(&answer.body).map_err(unreadable)
    }
}

/// A name goes into a request as it is.
fn name(text: &str) -> Result<&str, OperatorError> {
    match is_name(text) {
        true => Ok(text),
        false => Err(OperatorError::Refused {
            status: 400,
            code: "bad_name".to_owned(),
            message: format!(
                "{text:?} is no name: names have 1 to 64 letters, digits, dots, dashes and \
                 underscores"
            ),
        }),
    }
}

fn token(keyring: &Keyring, call: &Call<'_>) -> anyhow::Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("this clock is before 1970")?;
    Ok(call.token(keyring, now, u64::from_le_bytes(random()?)))
}

/// The grid's own words, or what else came.
fn refused(answer: &Answer) -> OperatorError {
    let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |field: &str| said["error"][field].as_str().map(ToOwned::to_owned);
    match (text("code"), text("message")) {
        (Some(code), Some(message)) => {
            OperatorError::Refused { status: answer.status, code, message }
        }
        _ => OperatorError::Refused {
            status: answer.status,
            code: "not_a_grid".to_owned(),
            message: format!(
                "it answers {} {}: is that a Flotilla grid of this release?",
                answer.status, answer.reason
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status,
            reason: "Nope".to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn a_refusal_is_told_in_the_grids_own_words() {
        let body = r#"{"error":{"code":"no_such_worker","message":"there is no worker w"}}"#;
        let error = refused(&answer(404, body));
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("no_such_worker", "there is no worker w")
        );
        assert!(!error.is_fatal());
        let error = refused(&answer(404, "<html>"));
        assert!(error.to_string().contains("404 Nope"), "{error}");
        assert!(refused(&answer(401, body)).is_fatal());
    }

    #[tokio::test]
    async fn what_is_no_name_is_not_even_asked_for() {
        let endpoint: Endpoint = "http://127.0.0.1:9".parse().unwrap();
        let operator = Operator::new(endpoint, None, Duration::from_secs(1));
        for odd in ["", "w/../v", "w 1", "w\r\nx: y"] {
            assert_eq!(operator.drain(odd).await.unwrap_err().code(), "bad_name", "{odd:?}");
        }
    }

    #[test]
    fn a_request_carries_a_token_only_where_there_is_a_secret() {
        let endpoint: Endpoint = "http://grid:80/prefix".parse().unwrap();
        let within = Duration::from_secs(1);
        let has = |operator: &Operator, name: &str| {
            let (target, headers) = operator.request("POST", "workers/w/drain", b"").unwrap();
            assert_eq!(target, "/prefix/v1/workers/w/drain");
            headers.iter().any(|(header, _)| header == name)
        };
        let plain = Operator::new(endpoint.clone(), None, within);
        assert!(has(&plain, HEADER) && !has(&plain, "Authorization"));
        let keyring = Keyring::parse("the-secret-of-the-fleet").ok();
        assert!(has(&Operator::new(endpoint, keyring, within), "Authorization"));
    }
}
