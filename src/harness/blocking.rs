//! Work on blocking threads, counted: it goes on when the future that waits for it is dropped (a failure beside it, a time
//! limit, Ctrl-C), and what it writes to must not be removed before it has ended.

use super::error::Outcome;
use super::recorder::poll;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Counts the blocking work of one run.
#[derive(Clone, Default)]
pub struct Blocking(Arc<AtomicUsize>);

/// One piece of work; it has ended when this is dropped.
struct Busy(Arc<AtomicUsize>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Blocking {
    /// Runs work on a blocking thread.
    pub fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let busy = Busy(self.0.clone());
        tokio::task::spawn_blocking(move || {
            // Dropped when the work has ended, and also if it never began.
            let _busy = busy;
            work()
        })
    }

    /// Waits until none is under way; an error if some still is after the limit.
    pub async fn end(&self, limit: Duration) -> Outcome<()> {
        let idle = || async { Ok((self.0.load(Ordering::SeqCst) == 0).then_some(())) };
        poll("the end of the work under way", limit, Duration::from_millis(1), idle).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[tokio::test]
    async fn work_whose_future_was_dropped_is_waited_for() {
        let (blocking, ended) = (Blocking::default(), Arc::new(AtomicBool::new(false)));
        let mark = ended.clone();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let work = blocking.run(move || {
            let _ = receiver.recv();
            std::thread::sleep(Duration::from_millis(50));
            mark.store(true, Ordering::SeqCst);
        });
        drop(work);
        assert!(blocking.end(Duration::from_millis(20)).await.is_err(), "it is still under way");
        drop(sender);
        blocking.end(Duration::from_secs(10)).await.unwrap();
        assert!(ended.load(Ordering::SeqCst));
    }
}
