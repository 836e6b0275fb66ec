//! A hint to the memory.

/// Asks for the cache line of a value's first byte, that it be near when it is read soon. It changes
/// nothing but time; where the processor has no such instruction it does nothing.
#[inline(always)]
#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a hint to the processor, which reads and writes nothing"
    )
)]
pub fn prefetch<T>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction is part of every x86-64 processor (SSE), and never faults.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _: &T = value;
}
