//! See `tokenkeep_fuzz::connection`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::connection(data));
