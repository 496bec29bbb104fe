//! A small supervisor, as systemd is one: starts and ends roles when a command line asks it to, and
//! knows how each of them ended.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitStatus;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::role::{Role, RoleBuilder};
use crate::wait::wait_for;

const POLL: Duration = Duration::from_millis(10);
const PATIENCE: Duration = Duration::from_secs(30);

/// One that has ended by itself, or was told to.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its name.
    pub name: String,
    /// How.
    pub status: ExitStatus,
    /// What it had logged.
    pub log: String,
}

/// What was asked for by a command line.
struct Request {
    verb: String,
    name: String,
    replaces: String,
    answer: TcpStream,
}

#[derive(Default)]
struct Shared {
    running: Mutex<BTreeMap<String, Role>>,
    ended: Mutex<Vec<Ended>>,
}

/// A running supervisor. What it runs is killed with its value.
pub struct Supervisor {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Dropped, it tells the keeper to end.
    requests: Option<Sender<Request>>,
    keeper: Option<JoinHandle<()>>,
}

// === impl Supervisor ===

impl Supervisor {
    /// Makes what it is asked to start by name, and by the name of the one that is replaced: empty
    /// where there is none. What it makes runs under the name that it gives it.
    ///
    /// # Panics
    /// When the machine has no port for it.
    pub fn new(make: impl Fn(&str, &str) -> (String, RoleBuilder) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::<Shared>::default();
        let (tell, requests) = channel();
        let (kept, told) = (Arc::clone(&shared), tell.clone());
        std::thread::spawn(move || listen(&listener, &told));
        // The kernel kills a child with the thread that started it, so that is one that stays.
        let keeper = std::thread::spawn(move || keep(&kept, &requests, &make));
        Self { address, shared, requests: Some(tell), keeper: Some(keeper) }
    }

    /// For `flotilla roll --start-command`.
    pub fn start_command(&self) -> String {
        self.command("start")
    }

    /// For `flotilla roll --stop-command`.
    pub fn stop_command(&self) -> String {
        self.command("stop")
    }

    fn command(&self, verb: &str) -> String {
        let port = self.address.port();
        format!(
            "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port} && \
             echo \"{verb} $FLOTILLA_ROLL_NAME $FLOTILLA_ROLL_REPLACES\" >&3 && \
             read -r answer <&3 && [ \"$answer\" = ok ]'"
        )
    }

    /// Starts one as the command would, and waits until it says that it is ready.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&self, name: &str) {
        let mut stream = TcpStream::connect(self.address).expect("the supervisor listens");
        writeln!(stream, "start {name} ").expect("it listens");
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).expect("it answers");
        assert_eq!(answer, "ok\n");
        wait_for(&format!("{name} to be ready"), PATIENCE, || {
            let mut running = self.running();
            let role = running.get_mut(name).unwrap_or_else(|| panic!("{name} has ended"));
            role.is_ready().then_some(())
        });
    }

    /// The names of those that run.
    pub fn names(&self) -> Vec<String> {
        self.running().keys().cloned().collect()
    }

    /// Does something with one that runs.
    ///
    /// # Panics
    /// When there is none of that name.
    pub fn with<T>(&self, name: &str, act: impl FnOnce(&mut Role) -> T) -> T {
        act(self.running().get_mut(name).unwrap_or_else(|| panic!("{name} does not run")))
    }

    /// Those that have ended, in their order.
    ///
    /// # Panics
    /// When the keeper panicked: something was left behind.
    pub fn ended(&self) -> Vec<Ended> {
        self.shared.ended.lock().expect("nothing was left behind").clone()
    }

    fn running(&self) -> MutexGuard<'_, BTreeMap<String, Role>> {
        self.shared.running.lock().expect("nothing was left behind")
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.requests = None;
        // It blocks in accept: one more connection lets it find out.
        let _ = TcpStream::connect(self.address).map(|mut stream| stream.write_all(b"end\n"));
        let kept = self.keeper.take().map(JoinHandle::join);
        if let Some(Err(panicked)) = kept
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panicked);
        }
    }
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("address", &self.address).finish_non_exhaustive()
    }
}

fn listen(listener: &TcpListener, tell: &Sender<Request>) {
    for answer in listener.incoming().flatten() {
        let Ok(request) = read(answer) else { continue };
        if request.verb == "end" || tell.send(request).is_err() {
            return;
        }
    }
}

fn read(answer: TcpStream) -> io::Result<Request> {
    answer.set_read_timeout(Some(PATIENCE))?;
    let mut line = String::new();
    BufReader::new(answer.try_clone()?).read_line(&mut line)?;
    let mut words = line.trim_end().splitn(3, ' ').map(str::to_owned);
    let mut word = || words.next().unwrap_or_default();
    Ok(Request { verb: word(), name: word(), replaces: word(), answer })
}

/// Starts, ends and buries, until nobody asks any more.
fn keep(
    shared: &Shared,
    requests: &Receiver<Request>,
    make: &dyn Fn(&str, &str) -> (String, RoleBuilder),
) {
    let mut waiting: Vec<Request> = Vec::new();
    loop {
        match requests.recv_timeout(POLL) {
            Ok(request) if request.verb == "start" => {
                let (name, builder) = make(&request.name, &request.replaces);
                let role = builder.spawn();
                shared.running.lock().expect("we hold it alone").insert(name, role);
                say_ok(&request);
            }
            Ok(request) => {
                let running = shared.running.lock().expect("we hold it alone");
                if let Some(role) = running.get(&request.name) {
                    role.terminate();
                }
                waiting.push(request);
            }
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
        }
        bury(shared);
        let running = shared.running.lock().expect("we hold it alone");
        waiting.retain(|request| {
            let runs = running.contains_key(&request.name);
            if !runs {
                say_ok(request);
            }
            runs
        });
    }
    // Here, and not where the value is dropped: their thread must not end before them.
    shared.running.lock().expect("we hold it alone").clear();
}

fn say_ok(request: &Request) {
    // Who has asked may have gone.
    let _ = (&request.answer).write_all(b"ok\n");
}

/// Notes who has ended, and that nothing of it is left.
fn bury(shared: &Shared) {
    let mut running = shared.running.lock().expect("we hold it alone");
    let ended: Vec<_> =
        running.iter_mut().filter_map(|(name, r)| Some((name.clone(), r.ended()?))).collect();
    for (name, status) in ended {
        if let Some(role) = running.remove(&name) {
            role.check_nothing_left(&std::collections::BTreeSet::new());
            let log = role.log();
            shared.ended.lock().expect("we hold it alone").push(Ended { name, status, log });
        }
    }
}
