//! See `tokenkeep_fuzz::json_text`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::json_text(data));
