//! See `tokenkeep_fuzz::header`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::header(data));
