//! See `tokenkeep_fuzz::route`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::route(data));
