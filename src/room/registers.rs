//! Registers: cleared when a section ends, and when a thread of the runtime lies down to sleep.
//!
//! The hard problem: a thread that sleeps has its registers in every core. `memcpy` of the C library moves whole values through
//! the upper vector registers, which most code never overwrites; an inner state of HMAC was found there. The answer: all that a
//! call may leave changed is zeroed. What a call must leave as it was (rbx, rbp, r12 to r15) has been restored by then.
//!
//! Keeps nothing: may be called anywhere.
#![cfg_attr(
    any(target_arch = "x86_64", target_arch = "aarch64"),
    expect(unsafe_code, reason = "registers have no other name")
)]

/// Zeroes the registers that a call may change: general, vector and mask registers.
#[inline]
pub fn clear() {
    if !cfg!(feature = "dangerous-without-register-wipe") {
        clear_all();
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn clear_all() {
    // Both are read from a word that the first call fills.
    if std::arch::is_x86_feature_detected!("avx512f") {
        clear_avx512();
    }
    if std::arch::is_x86_feature_detected!("avx") {
        clear_avx();
    } else {
        clear_sse();
    }
    // Last: the steps before it may have used them.
    clear_general();
}

/// The upper sixteen vector registers, which `vzeroall` leaves alone, and the mask registers.
#[cfg(target_arch = "x86_64")]
#[inline]
fn clear_avx512() {
    // SAFETY: the processor has AVX-512F; all that changes is named as clobbered, and no memory is touched.
    unsafe {
        std::arch::asm!(
            "vpxorq zmm16, zmm16, zmm16",
            "vpxorq zmm17, zmm17, zmm17",
            "vpxorq zmm18, zmm18, zmm18",
            "vpxorq zmm19, zmm19, zmm19",
            "vpxorq zmm20, zmm20, zmm20",
            "vpxorq zmm21, zmm21, zmm21",
            "vpxorq zmm22, zmm22, zmm22",
            "vpxorq zmm23, zmm23, zmm23",
            "vpxorq zmm24, zmm24, zmm24",
            "vpxorq zmm25, zmm25, zmm25",
            "vpxorq zmm26, zmm26, zmm26",
            "vpxorq zmm27, zmm27, zmm27",
            "vpxorq zmm28, zmm28, zmm28",
            "vpxorq zmm29, zmm29, zmm29",
            "vpxorq zmm30, zmm30, zmm30",
            "vpxorq zmm31, zmm31, zmm31",
            "kxorw k0, k0, k0",
            "kxorw k1, k1, k1",
            "kxorw k2, k2, k2",
            "kxorw k3, k3, k3",
            "kxorw k4, k4, k4",
            "kxorw k5, k5, k5",
            "kxorw k6, k6, k6",
            "kxorw k7, k7, k7",
            clobber_abi("sysv64"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// The lower sixteen, in all their width.
#[cfg(target_arch = "x86_64")]
#[inline]
fn clear_avx() {
    // SAFETY: the processor has AVX; all that changes is named as clobbered, and no memory is touched.
    unsafe {
        std::arch::asm!("vzeroall", clobber_abi("sysv64"), options(nomem, nostack, preserves_flags),);
    }
}

#[cfg(target_arch = "x86_64")]
#[inline]
fn clear_sse() {
    // SAFETY: every x86-64 has SSE; all that changes is named as clobbered, and no memory is touched.
    unsafe {
        std::arch::asm!(
            "xorps xmm0, xmm0",
            "xorps xmm1, xmm1",
            "xorps xmm2, xmm2",
            "xorps xmm3, xmm3",
            "xorps xmm4, xmm4",
            "xorps xmm5, xmm5",
            "xorps xmm6, xmm6",
            "xorps xmm7, xmm7",
            "xorps xmm8, xmm8",
            "xorps xmm9, xmm9",
            "xorps xmm10, xmm10",
            "xorps xmm11, xmm11",
            "xorps xmm12, xmm12",
            "xorps xmm13, xmm13",
            "xorps xmm14, xmm14",
            "xorps xmm15, xmm15",
            clobber_abi("sysv64"),
            options(nomem, nostack),
        );
    }
}

/// Those that hold whole numbers, and the flags, which the last of them leaves at those of zero.
#[cfg(target_arch = "x86_64")]
#[inline]
fn clear_general() {
    // SAFETY: all that changes is named as clobbered, and no memory is touched.
    unsafe {
        std::arch::asm!(
            "xor eax, eax",
            "xor ecx, ecx",
            "xor edx, edx",
            "xor esi, esi",
            "xor edi, edi",
            "xor r8d, r8d",
            "xor r9d, r9d",
            "xor r10d, r10d",
            "xor r11d, r11d",
            clobber_abi("sysv64"),
            options(nomem, nostack),
        );
    }
}

/// Writing `v` zeroes the rest of a register of SVE too (Arm ARM, "SIMD and floating-point"). Of v8 to v15 the callee must
/// keep the lower half, which the compiler does for those that are named here.
#[cfg(target_arch = "aarch64")]
#[inline]
fn clear_all() {
    // SAFETY: all that changes is named as clobbered, and no memory is touched.
    unsafe {
        std::arch::asm!(
            "movi v0.2d, #0", "movi v1.2d, #0", "movi v2.2d, #0", "movi v3.2d, #0",
            "movi v4.2d, #0", "movi v5.2d, #0", "movi v6.2d, #0", "movi v7.2d, #0",
            "movi v8.2d, #0", "movi v9.2d, #0", "movi v10.2d, #0", "movi v11.2d, #0",
            "movi v12.2d, #0", "movi v13.2d, #0", "movi v14.2d, #0", "movi v15.2d, #0",
            "movi v16.2d, #0", "movi v17.2d, #0", "movi v18.2d, #0", "movi v19.2d, #0",
            "movi v20.2d, #0", "movi v21.2d, #0", "movi v22.2d, #0", "movi v23.2d, #0",
            "movi v24.2d, #0", "movi v25.2d, #0", "movi v26.2d, #0", "movi v27.2d, #0",
            "movi v28.2d, #0", "movi v29.2d, #0", "movi v30.2d, #0", "movi v31.2d, #0",
            "mov x0, xzr", "mov x1, xzr", "mov x2, xzr", "mov x3, xzr", "mov x4, xzr", "mov x5, xzr",
            "mov x6, xzr", "mov x7, xzr", "mov x8, xzr", "mov x9, xzr", "mov x10, xzr", "mov x11, xzr",
            "mov x12, xzr", "mov x13, xzr", "mov x14, xzr", "mov x15, xzr", "mov x16, xzr", "mov x17, xzr",
            out("v8") _, out("v9") _, out("v10") _, out("v11") _,
            out("v12") _, out("v13") _, out("v14") _, out("v15") _,
            clobber_abi("C"),
            options(nomem, nostack, preserves_flags),
        );
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn clear_all() {}
