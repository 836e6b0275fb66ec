#![no_main]

use libfuzzer_sys::fuzz_target;
use proofmark_fuzz::decoders;

fuzz_target!(|data: &[u8]| {
    decoders::transcript(data).ok();
});
