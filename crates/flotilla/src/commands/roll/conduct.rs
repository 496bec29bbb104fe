//! The roll itself, with everything that is measured around it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::options::Common;
use super::plan::Ready;
use super::telling::Terminal;
use super::{FAILED, Refused};
use crate::commands::up::Signals;
use crate::printer::Printer;
use crate::roll::{Census, Connects, Counted, Driver, Hands, Promise, Verdict, Wish};

/// How often the gateways' counters are read.
const COUNT: Duration = Duration::from_millis(500);

/// Measures, rolls, measures, and judges.
pub(super) async fn conduct<H: Hands>(
    ready: Ready<H>,
    options: &Common,
    printer: Printer,
) -> Result<ExitCode, Refused> {
    let mut signals = Signals::listen()?;
    let mut terminal = Terminal::new(printer, options.json);
    terminal.busy("measuring connects before the roll");
    let hands = Arc::new(ready.hands);
    let mut connects = Connects::start(ready.connect, options.connect_every);
    tokio::time::sleep(options.measure_before).await;
    let before = connects.so_far();
    if let Some(why) = before.failures.first() {
        return Err(Refused::new(format!(
            "{} of {} connects failed before anything was touched: {why}",
            before.failed, before.tries
        )));
    }
    let census = Census::begin(ready.counters, hands.counters()).await.map_err(Refused::new)?;
    if !options.json {
        printer
            .note(format!("Should it be interrupted, it is continued with:\n  {}", ready.resume));
    }
    let began = Instant::now();
    let (counted, stop_counting) = keep_counting(census, hands.clone());
    let (wish, wishes) = watch::channel(Wish::GoOn);
    let listening = tokio::spawn(async move {
        for next in [Wish::Leave, Wish::GiveUp] {
            signals.next().await;
            wish.send_replace(next);
        }
        std::future::pending::<()>().await;
    });
    let driver = Driver::new(hands, ready.rollout);
    let (stage, rollout) = driver.run(wishes, &mut terminal).await;
    let took = began.elapsed();
    listening.abort();
    let figures = connects.end(began).await;
    let _ = stop_counting.send(());
    let counted = counted.await.unwrap_or_default();
    terminal.end();
    let promise = Promise::of(&rollout, ready.floor);
    let verdict =
        Verdict::new(ready.what, &stage, promise, took, figures, &counted, terminal.lowest);
    tell(&verdict, &ready.resume, options.json, printer);
    Ok(if verdict.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Reads counters until it is told to stop, and once more then.
fn keep_counting(
    mut census: Census,
    hands: Arc<impl Hands>,
) -> (tokio::task::JoinHandle<Counted>, oneshot::Sender<()>) {
    let (stop, mut stopped) = oneshot::channel();
    let counting = tokio::spawn(async move {
        loop {
            census.count(hands.counters()).await;
            tokio::select! {
                () = tokio::time::sleep(COUNT) => {}
                _ = &mut stopped => break,
            }
        }
        census.count(hands.counters()).await;
        census.so_far().clone()
    });
    (counting, stop)
}

fn tell(verdict: &Verdict, resume: &str, json: bool, printer: Printer) {
    if json {
        let mut line = serde_json::to_value(verdict).unwrap_or_default();
        line["event"] = "result".into();
        line["sentence"] = verdict.sentence().into();
        if verdict.failure.is_some() {
            line["resume"] = resume.into();
        }
        let _ = printer.json_line(&line);
        return;
    }
    printer.out(verdict.sentence());
    if let Some(why) = &verdict.failure {
        printer.error(format!("the roll was given up: {why}"), None);
        printer.note(format!("It is continued with:\n  {resume}"));
    } else if !verdict.ok {
        let told = verdict.during.failures.join("\n");
        printer.error(format!("clients noticed the roll\n{told}").trim_end(), None);
    }
}
