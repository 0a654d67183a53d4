//! One parser, chosen by `WEIGHBRIDGE_FUZZ_FORMAT`, on whatever the fuzzer
//! makes up: it must return.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weighbridge_formats::{Input, Options, Parser};

static PARSER: LazyLock<Parser> = LazyLock::new(|| {
    let name = std::env::var("WEIGHBRIDGE_FUZZ_FORMAT").expect("WEIGHBRIDGE_FUZZ_FORMAT names a parser");
    Parser::named(&name).expect("fuzz/targets.txt lists parsers that exist")
});

fuzz_target!(|data: &[u8]| {
    let mut options = Options { deep: true, ..Options::default() };
    // Small enough that a slow unit is a finding, not a bomb at work.
    options.limits.expanded_bytes_max = 8 << 20;
    options.limits.work_max = 2_000_000;
    PARSER.run(&Input::bytes(data.to_vec()), &options);
});
