//! The port to whatever runs the processes that are rolled.

/// What became of the wish to end a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It has ended.
    Yes,
    /// The platform has no way to end it: it must be told itself.
    NotHere,
}

/// Starts and ends processes: a supervisor, an orchestrator, a command line.
pub trait Platform: Send + Sync + 'static {
    /// Starts a process of the version that is wanted. It need not be ready when this resolves.
    /// `replaces` is the one whose place it takes, where that has gone already.
    fn start(
        &self,
        name: &str,
        replaces: Option<&str>,
    ) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends the process of that name, and resolves when it has ended. `endpoint` is where it was
    /// reached; empty for one that was never seen.
    fn stop(
        &self,
        name: &str,
        endpoint: &str,
    ) -> impl Future<Output = Result<Ended, String>> + Send;
}
