//! See `tokenkeep_fuzz::key_list`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| tokenkeep_fuzz::key_list(data));
