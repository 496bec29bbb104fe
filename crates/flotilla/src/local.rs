//! The worker in the gateway's own process: no ticket and no dial, the same admission.

use flotilla_core::BrowserKind;
use flotilla_core::ending::Ending;
use flotilla_core::id::WorkerId;
use flotilla_core::launcher::LaunchError;
use flotilla_core::metrics::{AdvertFault, Metrics, StoreOperation};
use flotilla_core::order::{Deed, OrderError, Outcome};
use flotilla_core::pool::{ExitReason, NotAdmitted};
use flotilla_core::status::WorkerStatus;
use flotilla_core::ticket::TicketError;
use flotilla_gateway::{Ask, NotOpened, Opened, OrderFailed, Permit, Taken, Workers};
use flotilla_worker::door::DoorObserver;
use flotilla_worker::{AdmitError, Lease, Observer, Worker};
use std::sync::Arc;
use std::time::Duration;

/// The one worker of a grid in one process.
#[derive(Debug)]
pub struct Local(pub Worker);

impl Workers for Local {
    type Lease = Lease;

    /// Nobody but this process can reach its browsers: a client that would come by itself is
    /// relayed all the same.
    async fn open(
        &self,
        _: &WorkerId,
        ask: Ask,
        permit: Permit,
    ) -> Result<Taken<Lease>, NotOpened> {
        let opened = self.0.open(ask.session, ask.demand, ask.handshake, move |_| drop(permit));
        let flotilla_worker::Opened { upstream, response, ending, granted_after, lease } =
            opened.await.map_err(as_gateway)?;
        let lost = Ending::browser_died("browser", "its connection broke");
        Ok(Taken::Relayed(Opened { upstream, response, ending, lost, granted_after, lease }))
    }

    async fn report(&self) -> Vec<WorkerStatus> {
        self.0.inspect().await.into_iter().collect()
    }

    async fn order(&self, worker: &WorkerId, deed: Deed) -> Result<Outcome, OrderFailed> {
        match self.0.inspect().await {
            Some(status) if status.id == worker.0 => Ok(self.0.carry_out(deed).await),
            _ => Err(OrderFailed::Unknown),
        }
    }
}

fn as_gateway(error: flotilla_worker::OpenError) -> NotOpened {
    use flotilla_worker::OpenError as Worker;
    match error {
        Worker::Admit(AdmitError::NotAdmitted(NotAdmitted::Busy)) => NotOpened::Busy,
        // When the grid stops, the gateway knows it before its worker does.
        Worker::Admit(AdmitError::NotAdmitted(NotAdmitted::Draining)) => {
            NotOpened::Elsewhere("the worker is draining".to_owned())
        }
        Worker::Admit(AdmitError::NotAdmitted(NotAdmitted::Present)) => NotOpened::Present,
        Worker::Admit(AdmitError::Stopped) => NotOpened::Draining,
        Worker::Admit(AdmitError::Ended(ending)) => NotOpened::Ended(ending.reason),
        Worker::Admit(AdmitError::NotAdmitted(NotAdmitted::BackingOff { wait, why })) => {
            NotOpened::BackingOff { wait, why }
        }
        Worker::Admit(AdmitError::LaunchFailed(why)) => NotOpened::LaunchFailed(why),
        Worker::Refused { status, body } => NotOpened::Refused { status, body },
        Worker::Unreachable(why) => NotOpened::Unreachable(why),
    }
}

impl flotilla_registry::redis::Observer for Counted {
    fn operation(&self, operation: StoreOperation, took: Duration, ok: bool) {
        self.0.fleet.operation.observe(operation, took);
        if !ok {
            self.0.fleet.errors.inc(());
        }
    }

    fn reachable(&self, _: bool) {
        // The log tells it, and the status has it.
    }

    fn rejected(&self, reason: AdvertFault) {
        self.0.fleet.rejected.inc(reason);
    }
}

impl DoorObserver for Counted {
    fn ticket_refused(&self, error: TicketError) {
        self.0.fleet.tickets.inc(error);
    }

    fn order_refused(&self, error: OrderError) {
        self.0.fleet.orders.inc(error);
    }
}

/// Counts what the worker tells.
#[derive(Debug)]
pub struct Counted(pub Arc<Metrics>);

impl Observer for Counted {
    fn launched(&self, kind: BrowserKind, took: Duration, result: Result<(), &LaunchError>) {
        match result {
            Ok(()) => self.0.browsers.launch.observe(kind, took),
            Err(error) => self.0.browsers.launch_failures.inc((kind, error.into())),
        }
    }

    fn browser_gone(&self, kind: BrowserKind, reason: ExitReason) {
        self.0.browsers.exits.inc((kind, reason));
    }
}
