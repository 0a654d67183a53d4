//! One parser of `scanner/provenance`, chosen by `WEIGHBRIDGE_FUZZ_PARSER`, on
//! whatever the fuzzer makes up: it must return.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use weighbridge_provenance::parsers::{self, Run};

static PARSER: LazyLock<Run> = LazyLock::new(|| {
    let name = std::env::var("WEIGHBRIDGE_FUZZ_PARSER").expect("WEIGHBRIDGE_FUZZ_PARSER names a parser");
    parsers::named(&name).expect("fuzz/provenance.txt lists parsers that exist")
});

fuzz_target!(|data: &[u8]| PARSER(data));
