//! Every way out of the confinement is tried by a real process and must fail.
#![cfg(target_os = "linux")]
#![allow(clippy::expect_used, reason = "helpers of tests are tests")]

use std::process::Command;

fn refused(profile: &str, attempt: &str) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_escape")).args([profile, attempt]).output().expect("the escape helper runs");
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "`{attempt}` in `{profile}`: {words}");
}

macro_rules! attempts {
    ($($name:ident: $attempt:literal,)*) => {
        mod scan {
            $(#[test] fn $name() { super::refused("scan", $attempt); })*

            #[test]
            fn starting_a_thread_is_refused() {
                super::refused("scan", "thread");
            }
        }

        mod model_load {
            $(#[test] fn $name() { super::refused("load", $attempt); })*

            #[test]
            fn threads_start_and_compute() {
                super::refused("load", "work");
            }
        }

        mod model_run {
            $(#[test] fn $name() { super::refused("run", $attempt); })*

            #[test]
            fn starting_a_thread_is_refused() {
                super::refused("run", "thread");
            }

            #[test]
            fn threads_that_are_there_go_on_computing() {
                super::refused("run", "work");
            }

            #[test]
            fn taking_the_filter_away_is_refused() {
                super::refused("run", "filter");
            }
        }
    };
}

attempts! {
    every_layer_is_in_force: "layers",
    held_descriptors_keep_working: "read-held-file",
    opening_an_absolute_path_is_refused: "open",
    opening_a_relative_path_is_refused: "open-relative",
    opening_beside_a_held_folder_is_refused: "open-beside",
    opening_its_own_memory_is_refused: "open-self",
    opening_by_handle_is_refused: "open-by-handle",
    creating_a_file_is_refused: "create",
    connecting_is_refused: "connect",
    datagrams_are_refused: "datagram",
    connecting_to_a_path_is_refused: "connect-path",
    connecting_to_an_abstract_name_is_refused: "connect-abstract",
    pairs_of_sockets_are_refused: "socket-pair",
    starting_a_program_is_refused: "spawn",
    becoming_a_program_is_refused: "exec",
    becoming_an_anonymous_program_is_refused: "exec-descriptor",
    forking_is_refused: "fork",
    forking_by_clone_is_refused: "clone",
    threads_in_another_namespace_are_refused: "clone-namespace",
    memory_beyond_the_limit_is_refused: "memory",
    executable_memory_is_refused: "map-exec",
    making_memory_executable_is_refused: "protect-exec",
    making_memory_executable_by_key_is_refused: "protect-exec-key",
    signalling_the_parent_is_refused: "kill",
    signalling_everybody_is_refused: "kill-all",
    signalling_a_thread_of_another_is_refused: "kill-thread",
    signalling_by_descriptor_is_refused: "kill-descriptor",
    tracing_is_refused: "trace",
    being_traced_is_refused: "trace-me",
    reading_another_process_is_refused: "read-process",
    writing_to_another_process_is_refused: "write-process",
    taking_a_descriptor_of_another_is_refused: "take-descriptor",
    staying_root_is_refused: "root",
    becoming_root_is_refused: "become-root",
    anonymous_files_are_refused: "memfd",
    opening_a_socket_is_refused: "socket",
    rings_are_refused: "ring",
    entering_a_namespace_is_refused: "enter-namespace",
    new_namespaces_are_refused: "new-namespace",
    mounting_is_refused: "mount",
    kernel_programs_are_refused: "bpf",
    keys_are_refused: "keys",
    faults_in_user_space_are_refused: "faults",
    counters_are_refused: "counters",
    raising_a_limit_is_refused: "limit",
    device_calls_are_refused: "ioctl",
    dumping_core_is_not_switched_on: "dumpable",
}
