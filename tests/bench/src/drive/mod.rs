//! The driver: runs servers and clients in turns, and makes the tables of `RESULTS.md`.
//!
//! A [`Bench`] starts and stops programs, each on a core of its own where there are two. A
//! [`Matrix`] is what is compared with what under which load: each round measures every cell once,
//! so that other load on the machine affects all of them, and a cell is the median of its rounds.
//! Each scenario is a module that returns its matrix and how it reads as a table.

mod allocations;
mod bench;
mod budgets;
mod channels;
mod clients;
mod close_ratio;
mod document;
mod earlier;
mod figures;
mod h2load;
mod load;
mod machine;
mod matrix;
mod memory;
mod pairs;
mod process;
mod programs;
mod servers;
mod table;
mod variants;

pub use bench::Bench;
pub use document::document;
pub use earlier::compare_with;
