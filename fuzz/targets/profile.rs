//! See `tokenkeep_fuzz::profile`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::profile(data));
