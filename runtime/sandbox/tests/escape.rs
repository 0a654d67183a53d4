//! Every way out of the confinement is tried by a real process and must fail.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "helpers of tests are tests")]

use std::process::Command;

fn refused(attempt: &str) {
    let output = Command::new(env!("CARGO_BIN_EXE_escape")).arg(attempt).output().expect("the escape helper runs");
    assert_eq!(output.status.code(), Some(0), "`{attempt}`: {}", String::from_utf8_lossy(&output.stderr));
}

macro_rules! attempts {
    ($($name:ident: $attempt:literal,)*) => {$(
        #[test]
        fn $name() {
            refused($attempt);
        }
    )*};
}

attempts! {
    every_layer_is_in_force: "layers",
    held_descriptors_keep_working: "read-held-file",
    opening_a_path_is_refused: "open",
    creating_a_file_is_refused: "create",
    connecting_is_refused: "connect",
    starting_a_program_is_refused: "spawn",
    starting_a_thread_is_refused: "thread",
    memory_beyond_the_limit_is_refused: "memory",
    signalling_the_parent_is_refused: "kill",
    staying_root_is_refused: "root",
    anonymous_files_are_refused: "memfd",
    opening_a_socket_is_refused: "socket",
}
