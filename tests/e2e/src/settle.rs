//! Waiting until nothing moves any more.

use std::time::Duration;

/// Ready when every task waits for something that no task is going to do. Only in virtual time,
/// where the clock moves on exactly then.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}
