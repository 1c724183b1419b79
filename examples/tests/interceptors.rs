//! The usual interceptors are short: the examples of each side hold the bound.

use std::fs;
use std::path::Path;

/// The number of lines that an interceptor for a usual case may have.
const MAX_LINES: usize = 10;

/// Returns the number of lines of a function of a program, from its signature to its closing brace.
fn lines_of(program: &str, function: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/bin/{program}.rs"));
    let source = fs::read_to_string(&path).expect("the program's source");
    let signature = format!("async fn {function}(");
    let body = source
        .lines()
        .skip_while(|line| !line.starts_with(&signature));
    let before_end = body.take_while(|line| *line != "}").count();
    assert!(before_end > 0, "{program} has no {function}");
    before_end + 1
}

#[test]
fn adding_a_header_checking_a_token_and_logging_take_ten_lines_each() {
    for (program, functions) in [
        ("client_interceptors", ["add_header", "attach_token", "log"]),
        ("server_interceptors", ["add_header", "authenticate", "log"]),
    ] {
        for function in functions {
            let lines = lines_of(program, function);
            assert!(
                lines <= MAX_LINES,
                "{program}: {function} has {lines} lines"
            );
        }
    }
}
