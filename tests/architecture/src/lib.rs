//! The imports of a crate, read from its source: which file uses an item that another file defines.
//!
//! The rules of ARCHITECTURE.md for them are the tests of this crate. A path through re-exports leads
//! to the file that defines the item. Code of tests is left out.

mod circles;
mod imports;
mod module;
mod paths;
mod test_code;

pub use circles::circles;
pub use imports::Imports;
