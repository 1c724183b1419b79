//! The machine and the versions of the measurements.

use std::fs;
use std::process::Command;
use std::thread;

use super::process;

/// The versions that this was built with.
const LOCK: &str = include_str!("../../Cargo.lock");

/// A paragraph for the head of the results.
pub(super) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let cores = thread::available_parallelism().map_or(1, Into::into);
    let versions: Vec<String> = ["tonic", "hyper", "h2", "tokio", "prost"]
        .into_iter()
        .filter_map(|name| Some(format!("{name} {}", locked(LOCK, name)?)))
        .collect();
    format!(
        "{}; {cores} cores; {}; Linux {}; {}; {}.",
        said(Command::new("date").args(["-u", "+%F"])),
        model(&cpuinfo).unwrap_or("unknown processor"),
        kernel.trim(),
        said(Command::new("rustc").arg("--version")),
        versions.join(", "),
    )
}

/// The output of a command; "unknown" if it fails, because results are useful without it.
fn said(command: &mut Command) -> String {
    process::output(command).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn model(cpuinfo: &str) -> Option<&str> {
    let line = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim())
}

fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    lock.split_once(&name)?.1.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_and_the_versions_are_found() {
        assert_eq!(model("processor\t: 0\nmodel name\t: A B\n"), Some("A B"));
        let lock = "[[package]]\nname = \"h2-x\"\nversion = \"1\"\n\n[[package]]\nname = \"h2\"\n\
                    version = \"0.4\"\n";
        assert_eq!(locked(lock, "h2"), Some("0.4"));
        assert_eq!(locked(lock, "h3"), None);
    }
}
