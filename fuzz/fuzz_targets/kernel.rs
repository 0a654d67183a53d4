//! What the kernel tells, made up: parsers must return.
#![no_main]

use libfuzzer_sys::fuzz_target;
use weighbridge_platform::fanotify;

fuzz_target!(|data: &[u8]| {
    for event in fanotify::parse(data) {
        let _ = std::hint::black_box(event);
    }
});
