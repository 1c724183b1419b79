//! A bound on waits.

use std::time::Duration;

use tokio::time::timeout;

/// The future's output, which must come without any other event.
///
/// # Panics
/// When 30 s pass; in virtual time that is as soon as nothing else moves.
#[track_caller]
pub fn soon<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let at = std::panic::Location::caller();
    async move {
        match timeout(Duration::from_secs(30), future).await {
            Ok(output) => output,
            Err(_) => panic!("{at}: this did not happen within 30 s"),
        }
    }
}
