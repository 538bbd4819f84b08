//! What must not load: a form that nobody knows, at its line, rather than a guess.

use crate::harness::header;
use softcuda::memory::Memory;
use softcuda::module::Module;

/// Loads a kernel with this instruction; the error must name its line.
#[track_caller]
fn refused(instruction: &str) {
    let before = header(90)
        + ".global .align 4 .u32 variable;\n.func wide(.param .b64 a) { ret; }\n"
        + ".func (.param .b32 r) narrow(.param .b64 a) { ret; }\n.visible .entry kernel(.param .u64 input)\n{\n"
        + ".reg .pred %p<8>;\n.reg .b16 %h<8>;\n.reg .b32 %r<8>;\n.reg .b64 %rd<8>;\n.shared .align 16 .b8 all[64];\n";
    let line = before.lines().count() as u32 + 1;
    let text = format!("{before}{instruction}\nret;\n}}\n");
    let memory = Memory::new(1 << 24).expect("device memory");
    match Module::load(&text, &memory) {
        Ok(_) => panic!("{instruction} is accepted"),
        Err(error) => assert_eq!(error.line, line, "{instruction}: {error}"),
    }
}

/// Checks them all, and tells all that are accepted.
#[track_caller]
fn all_refused(instructions: &[&str]) {
    let failed: Vec<&&str> = instructions
        .iter()
        .filter(|i| std::panic::catch_unwind(|| refused(i)).is_err())
        .collect();
    assert!(failed.is_empty(), "accepted: {failed:#?}");
}

#[test]
fn unknown_opcodes() {
    all_refused(&[
        "frobnicate.b32 %r0, %r1;",
        "addd.s32 %r0, %r1, %r2;",
        "add %r0, %r1, %r2;",
        "add.q32 %r0, %r1, %r2;",
        "add.b32 %r0, %r1, %r2;",
        "add.u8 %h0, %h1, %h2;",
        "neg.u32 %r0, %r1;",
        "abs.u32 %r0, %r1;",
        "mul.s32 %r0, %r1, %r2;",
        "mul.wide.s64 %rd0, %rd1, %rd2;",
        "mul.hi.f32 %r0, %r1, %r2;",
        "mad.s32 %r0, %r1, %r2, %r3;",
        "and.u32 %r0, %r1, %r2;",
        "xor.s32 %r0, %r1, %r2;",
        "shl.u32 %r0, %r1, %r2;",
        "shf.l.b32 %r0, %r1, %r2, %r3;",
        "popc.u32 %r0, %r1;",
        "bfe.b32 %r0, %r1, %r2, %r3;",
        "bfi.u32 %r0, %r1, %r2, %r3, %r4;",
        "lop3.b64 %rd0, %rd1, %rd2, %rd3, 5;",
        "prmt.b32.xyz %r0, %r1, %r2, %r3;",
        "fma.f32 %r0, %r1, %r2, %r3;",
        "mad.f32 %r0, %r1, %r2, %r3;",
        "div.f32 %r0, %r1, %r2;",
        "sqrt.f32 %r0, %r1;",
        "rcp.f32 %r0, %r1;",
        "ex2.f32 %r0, %r1;",
        "rsqrt.rn.f32 %r0, %r1;",
        "tanh.f32 %r0, %r1;",
        "div.approx.f64 %rd0, %rd1, %rd2;",
        "rcp.approx.f64 %rd0, %rd1;",
        "sin.approx.f64 %rd0, %rd1;",
        "setp.s32 %p0, %r1, %r2;",
        "setp.lt.b32 %p0, %r1, %r2;",
        "setp.equ.s32 %p0, %r1, %r2;",
        "setp.hi.s32 %p0, %r1, %r2;",
        "selp.pred %p0, %p1, %p2, %p3;",
        "cvt.u32 %r0, %r1;",
        "cvt.f32.s32 %r0, %r1;",
        "cvt.s32.f32 %r0, %r1;",
        "cvt.f32.f64 %r0, %rd1;",
        "cvt.rn.f64.f32 %rd0, %r1;",
        "cvt.rn.e9m9.f32 %r0, %r1;",
        "cvt.b32.u32 %r0, %r1;",
        "mov %r0, %r1;",
        "ld.global %r0, [%rd0];",
        "ld.global.pred %p0, [%rd0];",
        "ld.moon.u32 %r0, [%rd0];",
        "st.const.u32 [%rd0], %r0;",
        "st.param.u32 [input], %r0;",
        "cvta.u64 %rd0, %rd1;",
        "cvta.global.u32 %r0, %r1;",
        "atom.global.sub.u32 %r0, [%rd0], 1;",
        "atom.global.add.b32 %r0, [%rd0], 1;",
        "atom.global.add.f16 %h0, [%rd0], %h1;",
        "atom.local.add.u32 %r0, [%rd0], 1;",
        "red.global.exch.b32 [%rd0], 1;",
        "red.global.cas.b32 [%rd0], 1, 2;",
        "shfl.idx.b32 %r0, %r1, 0, 31;",
        "shfl.sync.b32 %r0, %r1, 0, 31, -1;",
        "shfl.sync.idx.b64 %rd0, %rd1, 0, 31, -1;",
        "vote.all.pred %p0, %p1;",
        "vote.sync.some.pred %p0, %p1, -1;",
        "match.sync.b32 %r0, %r1, -1;",
        "redux.sync.mul.s32 %r0, %r1, -1;",
        "redux.sync.add.b32 %r0, %r1, -1;",
        "bar.arrive 1;",
        "bar.red.xor.pred %p0, 0, %p1;",
        "membar;",
        "ldmatrix.sync.aligned.m8n8.x3.shared.b16 {%r0, %r1, %r2}, [%rd0];",
        "ldmatrix.sync.aligned.m8n8.x1.global.b16 {%r0}, [%rd0];",
        "ldmatrix.m8n8.x1.shared.b16 {%r0}, [%rd0];",
        "mma.sync.aligned.m16n8k16.row.row.f32.bf16.bf16.f32 {%r0,%r1,%r2,%r3}, {%r0,%r1,%r2,%r3}, {%r0,%r1}, {%r0,%r1,%r2,%r3};",
        "mma.sync.aligned.m16n8k32.row.col.f32.bf16.bf16.f32 {%r0,%r1,%r2,%r3}, {%r0,%r1,%r2,%r3}, {%r0,%r1}, {%r0,%r1,%r2,%r3};",
        "cp.async.shared.global [%rd0], [%rd1], 16;",
        "cp.async.cg.global.shared [%rd0], [%rd1];",
        "cp.shared.global [%rd0], [%rd1], 16;",
    ]);
}

#[test]
fn unknown_modifiers() {
    all_refused(&[
        "add.sat.u32 %r0, %r1, %r2;",
        "add.ftz.s32 %r0, %r1, %r2;",
        "add.rn.s32 %r0, %r1, %r2;",
        "add.rn.rz.f32 %r0, %r1, %r2;",
        "add.approx.f32 %r0, %r1, %r2;",
        "add.sat.f64 %rd0, %rd1, %rd2;",
        "fma.rn.sat.f64 %rd0, %rd1, %rd2, %rd3;",
        "add.ftz.f64 %rd0, %rd1, %rd2;",
        "add.ftz.bf16 %h0, %h1, %h2;",
        "add.sat.bf16 %h0, %h1, %h2;",
        "add.rz.f16 %h0, %h1, %h2;",
        "fma.rn.sat.relu.f16 %h0, %h1, %h2, %h3;",
        "ex2.approx.ftz.f16 %h0, %h1;",
        "ex2.approx.bf16 %h0, %h1;",
        "min.sat.f32 %r0, %r1, %r2;",
        "min.abs.f32 %r0, %r1, %r2;",
        "min.xorsign.f32 %r0, %r1, %r2;",
        "min.xorsign.f16 %h0, %h1, %h2;",
        "min.relu.u32 %r0, %r1, %r2;",
        "div.full.rn.f32 %r0, %r1, %r2;",
        "div.full.approx.f32 %r0, %r1, %r2;",
        "div.sat.rn.f32 %r0, %r1, %r2;",
        "sqrt.approx.rn.f32 %r0, %r1;",
        "tanh.approx.ftz.f32 %r0, %r1;",
        "mul.lo.sat.s32 %r0, %r1, %r2;",
        "mad.lo.sat.s32 %r0, %r1, %r2, %r3;",
        "mul24.lo.sat.u32 %r0, %r1, %r2;",
        "and.ftz.b32 %r0, %r1, %r2;",
        "setp.lt.ftz.s32 %p0, %r1, %r2;",
        "setp.lt.ftz.f64 %p0, %rd1, %rd2;",
        "setp.lt.gt.s32 %p0, %r1, %r2;",
        "slct.ftz.u32.s32 %r0, %r1, %r2, %r3;",
        "cvt.rn.rz.f32.s32 %r0, %r1;",
        "cvt.ftz.s32.s64 %r0, %rd1;",
        "cvt.rn.s32.s64 %r0, %rd1;",
        "cvt.rzi.f32.s32 %r0, %r1;",
        "cvt.rn.sat.bf16.f32 %h0, %r1;",
        "cvt.rn.ftz.bf16.f32 %h0, %r1;",
        "cvt.rn.f32.bf16 %r0, %h1;",
        "cvt.rm.bf16x2.f32 %r0, %r1, %r2;",
        "ld.global.v3.u32 {%r0, %r1, %r2}, [%rd0];",
        "ld.global.xx.u32 %r0, [%rd0];",
        "ld.global.ca.cg.u32 %r0, [%rd0];",
        "ld.shared.nc.u32 %r0, [%rd0];",
        "ld.release.gpu.global.u32 %r0, [%rd0];",
        "st.global.nc.u32 [%rd0], %r0;",
        "st.acquire.gpu.global.u32 [%rd0], %r0;",
        "ld.global.v4.u64 {%rd0, %rd1, %rd2, %rd3}, [%rd0];",
        "ld.global.v8.u64 {%rd0, %rd1, %rd2, %rd3, %rd4, %rd5, %rd6, %rd7}, [%rd0];",
        "atom.global.add.v2.u32 {%r0, %r1}, [%rd0], {%r2, %r3};",
        "atom.global.add.v8.f32 {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7}, [%rd0], {%r0,%r1,%r2,%r3,%r4,%r5,%r6,%r7};",
        "atom.global.add.v2.f64 {%rd0, %rd1}, [%rd0], {%rd2, %rd3};",
        "atom.shared.add.v2.f32 {%r0, %r1}, [%rd0], {%r2, %r3};",
        "atom.global.add.noftz.u32 %r0, [%rd0], 1;",
        "shfl.sync.idx.ftz.b32 %r0, %r1, 0, 31, -1;",
        "bar.sync.gpu 0;",
        "membar.gpu;",
        "bra.fast done; done:",
        "ret.now;",
        "exit.uni;",
        "trap.all;",
        "brx.idx.odd %r0, list; list: .branchtargets done; done:",
        "nanosleep.u64 %rd0;",
        "cp.async.cg.shared.global.L1::128B [%rd0], [%rd1], 16;",
        "cp.async.wait_all.now;",
        "prefetch.global.L3 [%rd0];",
    ]);
}

#[test]
fn operand_counts() {
    all_refused(&[
        "add.s32 %r0, %r1;",
        "add.s32 %r0, %r1, %r2, %r3;",
        "add.f32 %r0, %r1;",
        "mul.lo.s32 %r0, %r1;",
        "mad.lo.s32 %r0, %r1, %r2;",
        "mul24.lo.s32 %r0, %r1;",
        "mul24.lo.s32 %r0, %r1, %r2, %r3;",
        "mad24.lo.s32 %r0, %r1, %r2;",
        "mul24.lo.s32;",
        "add.cc.s32 %r0, %r1;",
        "addc.s32 %r0, %r1, %r2, %r3;",
        "madc.lo.s32 %r0, %r1, %r2;",
        "addc.s32;",
        "dp4a.s32.s32 %r0, %r1, %r2;",
        "neg.s32 %r0;",
        "fma.rn.f32 %r0, %r1, %r2;",
        "and.b32 %r0, %r1;",
        "not.b32 %r0, %r1, %r2;",
        "not.pred %p0, %p1, %p2;",
        "bfe.u32 %r0, %r1, %r2;",
        "lop3.b32 %r0, %r1, %r2, %r3;",
        "prmt.b32 %r0, %r1, %r2;",
        "setp.lt.s32 %p0, %r1;",
        "setp.lt.and.s32 %p0, %r1, %r2;",
        "setp.lt.s32 %p0, %r1, %r2, %p1;",
        "selp.b32 %r0, %r1, %r2;",
        "cvt.s32.s64 %r0;",
        "cvt.rn.bf16x2.f32 %r0, %r1;",
        "cvt.pack.sat.s16.s32 %r0, %r1;",
        "cvt.pack.sat.s8.s32.b32 %r0, %r1, %r2;",
        "cvt.pack.sat.s16.s32;",
        "mov.b32 %r0;",
        "mov.b32 %r0, %r1, %r2;",
        "mov.b32 {%h0, %h1, %h2}, %r0;",
        "mov.b64 %rd0, {%r0};",
        "ld.global.u32 %r0;",
        "ld.global.u32 %r0, [%rd0], %rd1;",
        "ld.global.v2.u32 %r0, [%rd0];",
        "ld.global.v2.u32 {%r0, %r1, %r2}, [%rd0];",
        "ld.global.u32 {%r0, %r1}, [%rd0];",
        "st.global.u32 [%rd0];",
        "st.global.u32 [%rd0], %r0, %rd1;",
        "st.global.v2.u32 [%rd0], {%r0, %r1, %r2};",
        "cvta.global.u64 %rd0;",
        "isspacep.global %p0;",
        "prefetch.global.L2;",
        "createpolicy.fractional.L2::evict_first.b64;",
        "atom.global.add.u32 %r0, [%rd0];",
        "atom.global.add.u32 %r0, [%rd0], 1, 2;",
        "atom.global.cas.b32 %r0, [%rd0], 1;",
        "atom.global.add.v2.f32 {%r0, %r1}, [%rd0], %r2;",
        "red.global.add.u32 %r0, [%rd0], 1;",
        "shfl.sync.idx.b32 %r0, %r1, 0, 31;",
        "vote.sync.all.pred %p0, %p1;",
        "match.any.sync.b32 %r0, %r1;",
        "match.any.sync.b32 %r0|%p0, %r1, -1;",
        "redux.sync.add.s32 %r0, %r1;",
        "elect.sync %r0|%p0;",
        "activemask.b32;",
        "bar.sync;",
        "bar.sync 0, 32, 32;",
        "bar.red.and.pred %p0, 0;",
        "bar.warp.sync;",
        "bra;",
        "brx.idx %r0;",
        "ret %r0;",
        "exit %r0;",
        "trap %r0;",
        "membar.gl %r0;",
        "ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r0}, [%rd0];",
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%r0,%r1,%r2,%r3}, {%r0,%r1}, {%r0,%r1}, {%r0,%r1,%r2,%r3};",
        "cp.async.cg.shared.global [%rd0], [%rd1];",
        "cp.async.cg.shared.global [%rd0], [%rd1], 16, 16, 16;",
        "cp.async.cg.shared.global [%rd0], [%rd1], 8;",
        "cp.async.ca.shared.global [%rd0], [%rd1], 2;",
        "cp.async.wait_group;",
        "cp.async.wait_group %r0;",
        "cp.async.wait_all 0;",
        "cp.async.commit_group 0;",
    ]);
}

#[test]
fn operand_widths() {
    all_refused(&[
        "add.s32 %r0, %r1, %rd2;",
        "add.s32 %rd0, %r1, %r2;",
        "add.s64 %rd0, %rd1, %r2;",
        "add.s32 %r0, %r1, %p0;",
        "add.f64 %rd0, %rd1, %r2;",
        "add.s32 %p0, %r1, %r2;",
        "mul.wide.s32 %r0, %r1, %r2;",
        "mul.wide.s32 %rd0, %rd1, %r2;",
        "shl.b64 %rd0, %rd1, %rd2;",
        "and.pred %p0, %p1, %r0;",
        "and.b32 %r0, %p1, %r1;",
        "setp.lt.s32 %r0, %r1, %r2;",
        "setp.lt.s64 %p0, %r1, %r2;",
        "selp.b32 %r0, %r1, %r2, %r3;",
        "selp.b64 %rd0, %rd1, %r2, %p0;",
        "cvt.s64.s32 %r0, %r1;",
        "cvt.s32.s64 %r0, %r1;",
        "mov.b32 %r0, %rd0;",
        "mov.b64 %rd0, %r0;",
        "mov.b64 {%r0, %rd1}, %rd0;",
        "mov.pred %p0, %r0;",
        "ld.global.u64 %r0, [%rd0];",
        "ld.global.u32 %p0, [%rd0];",
        "st.global.u64 [%rd0], %r0;",
        "ld.global.u32 %r0, [%p0];",
        "ld.global.u32 %r0, %rd0;",
        "cvta.global.u64 %rd0, %r0;",
        "atom.global.add.u64 %rd0, [%rd0], %r0;",
        "atom.global.add.u32 %rd0, [%rd0], %r0;",
        "shfl.sync.idx.b32 %rd0, %rd1, 0, 31, -1;",
        "vote.sync.all.pred %r0, %p0, -1;",
        "vote.sync.ballot.b32 %p0, %p1, -1;",
        "match.any.sync.b64 %r0, %r1, -1;",
        "@%r0 mov.b32 %r1, 0;",
        "@%rd0 mov.b32 %r1, 0;",
    ]);
}

#[test]
fn operands_of_another_kind() {
    all_refused(&[
        "add.s32 5, %r1, %r2;",
        "add.s32 %r99, %r1, %r2;",
        "add.s32 %r0, nobody, %r2;",
        "add.s32 %r0, {%r1, %r2}, %r2;",
        "add.s32 %r0, [%rd0], %r2;",
        "add.s32 %r0|%p0, %r1, %r2;",
        // The bits of an integer are no float.
        "add.f32 %r0, %r1, 1;",
        "add.f64 %rd0, %rd1, 1;",
        "mov.f32 %r0, 1;",
        "fma.rn.f32 %r0, %r1, 2, %r2;",
        "mov.u32 %tid.x, 5;",
        "lop3.b32 %r0, %r1, %r2, %r3, 256;",
        "lop3.b32 %r0, %r1, %r2, %r3, %r4;",
        "bra nowhere;",
        "brx.idx %r0, nowhere;",
        "call.uni nobody;",
        "{ .param .b32 a; call.uni wide, (a); }",
        "{ .param .b64 a; .param .b64 b; call.uni (b), narrow, (a); }",
        "{ .param .b64 f; .param .b32 a; .param .b32 r; call (r), vprintf, (f, a); }",
        "{ .param .b64 f; .param .b64 a; .param .b16 r; call (r), vprintf, (f, a); }",
        "{ .param .b64 m; .param .b32 n; call __assertfail, (m, m, n, n, m); }",
        ".local .b8 much[524289];",
        ".local .b8 half[262144]; .param .b8 more[262145];",
        ".reg .b32 %many<1048576>;",
        "ld.param.u32 %r0, [input+9223372036854775807];",
        "brkpt;",
        "call.uni (%r0), nobody, (%r1);",
        "ld.param.u32 %r0, [nobody];",
        "ld.param.u32 %r0, [input+8];",
        "ld.param.u32 %r0, [input+-4];",
        "ld.param.u64 %rd0, [input+4];",
        // A variable of another space.
        "ld.shared.u32 %r0, [variable];",
        "ld.global.u32 %r0, [all];",
        "st.shared.u32 [variable], %r0;",
        "ld.local.u32 %r0, [all];",
        "ld.global.u32 %r0, [input];",
        "ld.const.u32 %r0, [variable];",
    ]);
}

#[test]
fn parameters_of_a_kernel() {
    let memory = Memory::new(1 << 24).expect("device memory");
    let kernel = |bytes: u32| {
        let text = format!(
            "{}.visible .entry k(.param .b8 all[{bytes}]) {{ ret; }}\n",
            header(90)
        );
        Module::load(&text, &memory)
    };
    assert!(kernel(32764).is_ok());
    let error = kernel(32765).err().expect("too many are refused");
    assert_eq!(
        error.line as usize,
        header(90).lines().count() + 1,
        "{error}"
    );
}
