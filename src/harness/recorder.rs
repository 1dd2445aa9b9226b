//! The recorder: one clock, one stream of events, for the whole run.

use super::error::{Error, Outcome};
use crate::model::event::{Actor, Event, Moment, Stamped};
use crate::model::time::Stamp;
use serde_json::Value;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

/// Stamps and keeps the events of one run.
pub struct Recorder {
    epoch: Instant,
    file: Mutex<Kept>,
    /// Becomes true when an event could not be kept.
    lost: watch::Sender<bool>,
    observer: Option<UnboundedSender<Stamped>>,
    secrets: Mutex<Vec<String>>,
}

/// The file of events, up to its last whole line.
struct Kept {
    file: File,
    whole: u64,
    /// The first error of writing. Nothing is written after it: a record with a hole must not look whole.
    lost: Option<io::Error>,
}

impl Kept {
    fn line(&mut self, line: &str) -> io::Result<()> {
        if let Some(e) = &self.lost {
            return Err(again(e));
        }
        if let Err(e) = self.file.write_all(line.as_bytes()) {
            // Part of the line may be there. Where it cannot be cut off, it shows as a torn line.
            let _ = self.file.set_len(self.whole);
            self.lost = Some(again(&e));
            return Err(e);
        }
        self.whole += line.len() as u64;
        Ok(())
    }
}

/// An error of the system once more: it is kept, and given to everyone who asks.
fn again(e: &io::Error) -> io::Error {
    e.raw_os_error().map_or_else(|| io::Error::new(e.kind(), e.to_string()), io::Error::from_raw_os_error)
}

fn unwritten(source: io::Error) -> Error {
    Error::Io { what: "write the record of the run, without which nothing can be judged".into(), source }
}

/// What stands in the place of a secret.
pub const MASK: &str = "●●●";

impl Recorder {
    /// Starts the clock and the file of events.
    #[allow(clippy::disallowed_methods)] // the one clock
    pub fn start(events: &Path, observer: Option<UnboundedSender<Stamped>>) -> Outcome<Arc<Recorder>> {
        // Appending, so that the next line follows the last whole one after a torn one was cut off.
        let file = File::options().create(true).append(true).open(events);
        let file = file.map_err(|source| Error::Io { what: format!("create {}", events.display()), source })?;
        let kept = Kept { file, whole: 0, lost: None };
        let (lost, secrets) = (watch::Sender::new(false), Mutex::new(Vec::new()));
        Ok(Arc::new(Recorder { epoch: Instant::now(), file: Mutex::new(kept), lost, observer, secrets }))
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
            // Of a secret that holds another one nothing may remain.
            secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        }
    }

    /// A text without its secrets.
    pub fn masked(&self, text: &str) -> String {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        without(&secrets, text)
    }

    /// Takes the secrets out of every text of a value. Names of fields and numbers stay what they are: a secret of digits must
    /// not tear one.
    pub fn mask(&self, value: &mut Value) {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        mask(&secrets, value);
    }

    /// The same for the JSON of an event; `None` if no secret is in it.
    fn masked_event(&self, json: &str) -> Option<String> {
        let secrets = self.secrets.lock().unwrap_or_else(PoisonError::into_inner);
        if !secrets.iter().any(|s| json.contains(s.as_str())) {
            return None;
        }
        let mut event: Value = serde_json::from_str(json).ok()?;
        // The kind of an event is a word of ours.
        event.as_object_mut()?.iter_mut().filter(|(name, _)| *name != "event").for_each(|(_, field)| mask(&secrets, field));
        Some(event.to_string())
    }

    /// Records an event now.
    pub fn emit(&self, event: Event) -> Stamp {
        let t = self.now();
        self.emit_at(t, event);
        t
    }

    /// Records an event with a stamp taken before. Whoever watches sees what is recorded: without secrets.
    pub fn emit_at(&self, t: Stamp, event: Event) {
        let stamped = Stamped { t, event };
        // Progress is for people only.
        let kept = !matches!(stamped.event, Event::Progress { .. });
        let (line, shown) = match serde_json::to_string(&stamped) {
            Ok(json) => match self.masked_event(&json) {
                None => (Ok(json), Some(stamped)),
                Some(masked) => {
                    let shown = serde_json::from_str(&masked).ok();
                    (Ok(masked), shown)
                }
            },
            Err(e) => (Err(io::Error::other(e)), None),
        };
        if kept {
            let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
            let written = line.and_then(|line| file.line(&(line + "\n")));
            if let Err(e) = written {
                file.lost.get_or_insert(e);
                drop(file);
                self.lost.send_replace(true);
            }
        }
        if let (Some(observer), Some(shown)) = (&self.observer, shown) {
            let _ = observer.send(shown);
        }
    }

    /// Ends when an event could not be kept: what happens from then on is not in the record, so the run is to stop.
    pub async fn incomplete(&self) -> Error {
        // The sender lives as long as we do.
        let _ = self.lost.subscribe().wait_for(|lost| *lost).await;
        self.trouble().unwrap_or_else(|| unwritten(io::Error::other("an event was lost")))
    }

    /// Why the record is not complete, if it is not.
    pub fn trouble(&self) -> Option<Error> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.lost.as_ref().map(|e| unwritten(again(e)))
    }

    /// Lets the record go on after an event was lost, so that it can at least say so; to be followed by an event that does.
    pub fn go_on(&self) {
        self.file.lock().unwrap_or_else(PoisonError::into_inner).lost = None;
        self.lost.send_replace(false);
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

    /// Makes what was recorded so far durable. An event that could not be kept is an error from then on.
    pub fn sync(&self) -> Outcome<()> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let synced = match &file.lost {
            Some(e) => Err(again(e)),
            None => file.file.sync_data(),
        };
        synced.map_err(|e| {
            file.lost.get_or_insert(again(&e));
            self.lost.send_replace(true);
            unwritten(e)
        })
    }
}

/// A text without these secrets.
fn without(secrets: &[String], text: &str) -> String {
    secrets.iter().fold(text.to_string(), |text, secret| if text.contains(secret.as_str()) { text.replace(secret, MASK) } else { text })
}

fn mask(secrets: &[String], value: &mut Value) {
    match value {
        Value::String(text) => {
            if secrets.iter().any(|s| text.contains(s.as_str())) {
                *text = without(secrets, text);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|v| mask(secrets, v)),
        Value::Object(fields) => fields.values_mut().for_each(|v| mask(secrets, v)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
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
/// (docs/FIGURES.md, "The clock"). Ends when the returned handle is dropped.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::{FailureClass, Role};
    use std::collections::BTreeMap;
    use tokio::sync::mpsc;

    /// As it stands in a text, with what JSON escapes, of digits alone, and one that holds another.
    const CANARIES: [&str; 4] = ["canary-7f3a9c", "can\"ary\\two", "90210", "canary-7f3a9c-and-more"];

    fn broke(message: &str) -> Event {
        Event::Broke { message: message.into(), hint: Some(format!("not {message}")) }
    }

    #[test]
    fn whoever_watches_sees_no_secret_and_neither_does_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let (sender, mut seen) = mpsc::unbounded_channel();
        let recorder = Recorder::start(&path, Some(sender)).unwrap();
        CANARIES.iter().for_each(|c| recorder.keep_secret(c));
        for canary in CANARIES {
            recorder.emit(broke(&format!("it said {canary} and ended")));
            recorder.phase(canary);
            recorder.emit(Event::Progress { what: format!("{canary} again"), bytes: 90_210, of: None });
            let detail = format!("password={canary}");
            recorder.emit(Event::Failed { step: None, role: Some(Role::Control), class: FailureClass::ServerRefused, detail });
            let settings = BTreeMap::from([("archive_command".into(), format!("x {canary} y"))]);
            recorder.emit(Event::InstanceStarted {
                role: Role::Origin,
                instance: "7/902100".into(),
                system_identifier: "7".into(),
                version: "15".into(),
                timeline: Some(90_210),
                settings,
            });
        }
        recorder.sync().unwrap();
        drop(recorder);
        let text = std::fs::read_to_string(&path).unwrap();
        let mut shown = String::new();
        let mut events = Vec::new();
        while let Ok(e) = seen.try_recv() {
            shown.push_str(&format!("{:?} {}\n", e.event, serde_json::to_string(&e.event).unwrap()));
            events.push(e);
        }
        assert_eq!(events.len(), CANARIES.len() * 5);
        for canary in CANARIES.iter().filter(|c| **c != "90210") {
            for wrong in [canary.to_string(), format!("{canary:?}").trim_matches('"').to_string()] {
                assert!(!text.contains(&wrong), "{wrong} in the file:\n{text}");
                assert!(!shown.contains(&wrong), "{wrong} shown:\n{shown}");
            }
        }
        assert!(!text.contains("and-more") && !shown.contains("and-more"), "what a longer secret adds to a shorter one");
        // Every line is still an event, its numbers what they were.
        let read: Vec<Stamped> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(read.len(), CANARIES.len() * 4, "progress is not kept");
        assert!(read.iter().any(|e| matches!(&e.event, Event::InstanceStarted { timeline: Some(90_210), .. })));
        assert!(read.iter().any(|e| matches!(&e.event, Event::Broke { message, .. } if *message == format!("it said {MASK} and ended"))));
    }

    #[tokio::test]
    async fn a_lost_event_is_never_forgotten() {
        // Every write to it fails as on a full disk; syncing it does not.
        let recorder = Recorder::start(Path::new("/dev/full"), None).unwrap();
        assert!(recorder.trouble().is_none());
        recorder.emit(broke("x"));
        let e = tokio::time::timeout(Duration::from_secs(5), recorder.incomplete()).await.unwrap();
        for e in [e, recorder.trouble().unwrap(), recorder.sync().unwrap_err()] {
            assert!(e.to_string().contains("No space left on device"), "{e}");
            assert!(e.hint().unwrap().contains("--out"), "{:?}", e.hint());
        }
        recorder.emit(broke("y"));
        assert!(recorder.sync().is_err());
        recorder.go_on();
        assert!(recorder.trouble().is_none());
        recorder.emit(broke("z"));
        assert!(recorder.trouble().is_some() && recorder.sync().is_err(), "and the next one neither");
    }

    #[test]
    fn a_record_goes_on_after_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let file = File::options().create(true).append(true).open(&path).unwrap();
        let mut kept = Kept { file, whole: 0, lost: None };
        kept.line("one\n").unwrap();
        kept.lost = Some(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(kept.line("two\n").unwrap_err().kind(), io::ErrorKind::StorageFull, "a hole must not look whole");
        kept.lost = None;
        kept.line("three\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\nthree\n");
    }
}
