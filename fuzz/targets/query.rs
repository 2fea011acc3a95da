//! See `tokenkeep_fuzz::query`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::query(data));
