//! The recorder: one clock, one stream of events, for the whole run.

use super::error::{Doing, Outcome};
use crate::model::event::{Actor, Event, Moment, Stamped};
use crate::model::time::Stamp;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// Stamps and keeps the events of one run.
pub struct Recorder {
    epoch: Instant,
    file: Mutex<File>,
    observer: Option<UnboundedSender<Stamped>>,
    secrets: Mutex<Vec<String>>,
}

/// What stands in the place of a secret.
pub const MASK: &str = "●●●";

impl Recorder {
    /// Starts the clock and the file of events.
    #[allow(clippy::disallowed_methods)] // the one clock
    pub fn start(events: &Path, observer: Option<UnboundedSender<Stamped>>) -> Outcome<Arc<Recorder>> {
        let file = File::create(events).doing(|| format!("create {}", events.display()))?;
        Ok(Arc::new(Recorder { epoch: Instant::now(), file: Mutex::new(file), observer, secrets: Mutex::new(Vec::new()) }))
    }

    /// Now, on the run's clock.
    pub fn now(&self) -> Stamp {
        Stamp(self.epoch.elapsed().as_nanos() as u64)
    }

    /// A moment of the run's clock for timers.
    pub fn instant(&self, stamp: Stamp) -> tokio::time::Instant {
        (self.epoch + Duration::from_nanos(stamp.0)).into()
    }

    /// Never let this text into events, logs or reports.
    pub fn keep_secret(&self, secret: &str) {
        if secret.len() >= 4 {
            let mut secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
            secrets.push(secret.to_string());
            // As it looks inside JSON, too.
            if let Ok(json) = serde_json::to_string(secret) {
                let inner = json[1..json.len() - 1].to_string();
                if inner != secret {
                    secrets.push(inner);
                }
            }
        }
    }

    /// A text without its secrets.
    pub fn masked(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(text.to_string(), |text, secret| if text.contains(secret.as_str()) { text.replace(secret, MASK) } else { text })
    }

    /// Records an event now.
    pub fn emit(&self, event: Event) -> Stamp {
        let t = self.now();
        self.emit_at(t, event);
        t
    }

    /// Records an event with a stamp taken before.
    pub fn emit_at(&self, t: Stamp, event: Event) {
        let stamped = Stamped { t, event };
        // Progress is for people only.
        if !matches!(stamped.event, Event::Progress { .. })
            && let Ok(json) = serde_json::to_string(&stamped)
        {
            let line = self.masked(&json) + "\n";
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk shows when the file is synced; the run goes on so that it can clean up.
            let _ = file.write_all(line.as_bytes());
        }
        if let Some(observer) = &self.observer {
            let _ = observer.send(stamped);
        }
    }

    /// Records a measured moment now, and gives back its stamp.
    pub fn moment(&self, moment: Moment, step: Option<usize>, proof: impl Into<String>) -> Stamp {
        self.emit(Event::Moment { moment, step, proof: proof.into() })
    }

    /// Begins a stretch in which `actor` is at work; it ends when the guard is dropped.
    pub fn work(self: &Arc<Self>, actor: Actor, what: impl Into<String>) -> Work {
        Work { recorder: self.clone(), actor, what: what.into(), from: self.now() }
    }

    /// Announces a phase.
    pub fn phase(&self, name: impl Into<String>) {
        self.emit(Event::Phase { name: name.into() });
    }

    /// Makes what was recorded so far durable.
    pub fn sync(&self) -> Outcome<()> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_data().doing(|| "sync the events".into())
    }
}

/// A stretch of work; recorded when dropped.
pub struct Work {
    recorder: Arc<Recorder>,
    actor: Actor,
    what: String,
    from: Stamp,
}

impl Drop for Work {
    fn drop(&mut self) {
        let what = std::mem::take(&mut self.what);
        self.recorder.emit(Event::Worked { actor: self.actor, what, from: self.from });
    }
}

/// Watches the recorder itself: a tick that comes late means that nothing could be stamped meanwhile
/// (MEASUREMENT.md, "Clocks"). Ends when the returned handle is dropped.
pub fn heartbeat(recorder: &Arc<Recorder>) -> Heartbeat {
    const PERIOD: Duration = Duration::from_millis(10);
    /// Later than this counts as a stall; below it is ordinary scheduling on a busy machine.
    const TOLERANCE: Duration = Duration::from_millis(40);
    let recorder = recorder.clone();
    let task = tokio::spawn(async move {
        let mut last = recorder.now();
        loop {
            tokio::time::sleep(PERIOD).await;
            let now = recorder.now();
            let late = now.since(last).saturating_sub(PERIOD);
            if late > TOLERANCE {
                recorder.emit_at(now, Event::Stalled { ns: late.as_nanos() as u64 });
            }
            last = now;
        }
    });
    Heartbeat(task)
}

/// Stops the heartbeat when dropped.
pub struct Heartbeat(tokio::task::JoinHandle<()>);

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Polls `ask` until it answers, or the deadline passes. The wait between questions is a timer, not a guess:
/// nothing is taken for granted when it ends.
pub async fn poll<T, F>(what: &str, limit: Duration, every: Duration, mut ask: impl FnMut() -> F) -> Outcome<T>
where
    F: Future<Output = Outcome<Option<T>>>,
{
    let deadline = tokio::time::Instant::now() + limit;
    let late = || super::error::Error::Timeout { what: what.into(), after: limit };
    loop {
        // A question that is never answered must not outlive the deadline, either.
        if let Some(answer) = tokio::time::timeout_at(deadline, ask()).await.map_err(|_| late())?? {
            return Ok(answer);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(late());
        }
        tokio::time::sleep(every).await;
    }
}
