//! Group commit: items that arrive while a group is under way form the next group.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

/// Most items of one group: enough to make a commit's fixed cost small, few enough to keep it quick.
const MAX_ITEMS: usize = 512;

/// A group takes no more items once they weigh this much, in bytes: it is held in memory and sent in one statement.
const MAX_WEIGHT: usize = 8 << 20;

/// Most items that wait; when there are more, `send` waits.
const QUEUE: usize = 4096;

type Item<T, R> = (T, oneshot::Sender<R>);

/// Collects items into groups; one group at a time is under way.
#[derive(Debug)]
pub(crate) struct Batcher<T, R>(mpsc::Sender<Item<T, R>>);

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts the task that calls `run` with each group; `run` returns one result per item, in order. The task ends when
    /// the last handle is gone and all accepted items are done.
    pub(crate) fn spawn<F, Fut>(weight: fn(&T) -> usize, run: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send,
    {
        let (sender, mut receiver) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            while let Some(first) = receiver.recv().await {
                let (items, callers) = collect(first, &mut receiver, weight);
                // The callers of a group that panicked get no result; later groups go on.
                let Ok(results) = AssertUnwindSafe(run(items)).catch_unwind().await else {
                    error!("a group of {} was lost to an internal error", callers.len());
                    continue;
                };
                for (caller, result) in callers.into_iter().zip(results) {
                    let _ = caller.send(result); // the caller may have gone away
                }
            }
        });
        Self(sender)
    }

    /// Adds an item; the receiver gets its result, or an error if its group panicked.
    pub(crate) async fn send(&self, item: T) -> oneshot::Receiver<R> {
        let (sender, receiver) = oneshot::channel();
        // If the task has died, this drops `sender`, and so the receiver gets an error.
        let _ = self.0.send((item, sender)).await;
        receiver
    }
}

/// Forms a group of the items that wait. It does not wait for more, so that an idle service adds no delay.
fn collect<T, R>(
    first: Item<T, R>,
    receiver: &mut mpsc::Receiver<Item<T, R>>,
    weight: fn(&T) -> usize,
) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
    let mut total = weight(&first.0);
    let (mut items, mut callers) = (vec![first.0], vec![first.1]);
    while items.len() < MAX_ITEMS && total < MAX_WEIGHT {
        let Ok((item, caller)) = receiver.try_recv() else { break };
        total += weight(&item);
        items.push(item);
        callers.push(caller);
    }
    (items, callers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn items_that_arrive_meanwhile_are_done_together_and_in_order() {
        let (gate, groups) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let batcher = Batcher::spawn(|_: &u32| 1, {
            let (gate, groups) = (gate.clone(), groups.clone());
            move |items: Vec<u32>| {
                let (gate, groups) = (gate.clone(), groups.clone());
                async move {
                    gate.acquire().await.unwrap().forget();
                    groups.fetch_add(1, Ordering::SeqCst);
                    items.into_iter().map(|item| item * 2).collect()
                }
            }
        });
        let first = batcher.send(0).await;
        tokio::task::yield_now().await; // the first group is under way
        let mut others = Vec::new();
        for item in 1..=100 {
            others.push(batcher.send(item).await);
        }
        gate.add_permits(2);
        assert_eq!(first.await.unwrap(), 0);
        for (other, item) in others.into_iter().zip(1..) {
            assert_eq!(other.await.unwrap(), item * 2);
        }
        assert_eq!(groups.load(Ordering::SeqCst), 2);
    }
}
