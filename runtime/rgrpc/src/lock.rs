use std::sync::{Mutex, MutexGuard, PoisonError};

/// The value behind a lock, whether or not a thread has panicked while it held it: what this crate
/// does under its locks are single steps, of which none can be left half done.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
