//! The target `payload` of `saga-fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    (saga_fuzz::target("payload").take)(bytes);
});
