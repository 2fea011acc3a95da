//! See `tokenkeep_fuzz::import_field`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::import_field(data));
