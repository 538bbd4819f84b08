//! Branches, calls, returns.

use crate::harness::*;
use softcuda::report::FaultKind;

/// Functions that the kernels call.
const FUNCTIONS: &str = "
.global .align 1 .b8 text[6] = {37, 42, 46, 42, 102};
.global .align 8 .b32 numbers[4] = {0x7FFFFFFF, 0x7FFFFFFF, 0, 0};
.func (.param .b32 result) twice(.param .b32 value)
{
    .reg .b32 %r<4>;
    ld.param.u32 %r0, [value];
    add.s32 %r1, %r0, %r0;
    st.param.b32 [result], %r1;
    ret;
}
.func (.param .b64 result) widen(.param .b32 low, .param .b64 high)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    ld.param.b32 %r0, [low];
    ld.param.b64 %rd0, [high];
    cvt.u64.u32 %rd1, %r0;
    shl.b64 %rd0, %rd0, 32;
    or.b64 %rd0, %rd0, %rd1;
    st.param.b64 [result], %rd0;
    ret;
}
// Fibonacci's numbers, by two calls of itself.
.func (.param .b32 result) fibonacci(.param .b32 value)
{
    .reg .b32 %r<8>;
    .reg .pred %p<2>;
    ld.param.u32 %r0, [value];
    setp.lt.u32 %p0, %r0, 2;
    @%p0 bra small;
    sub.s32 %r1, %r0, 1;
    { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), fibonacci, (a); ld.param.b32 %r2, [b]; }
    sub.s32 %r1, %r0, 2;
    { .param .b32 a; .param .b32 b; st.param.b32 [a], %r1; call.uni (b), fibonacci, (a); ld.param.b32 %r3, [b]; }
    add.s32 %r0, %r2, %r3;
small:
    st.param.b32 [result], %r0;
    ret;
}
// Returns early in some lanes.
.func (.param .b32 result) parity(.param .b32 value)
{
    .reg .b32 %r<4>;
    .reg .pred %p<2>;
    ld.param.u32 %r0, [value];
    and.b32 %r1, %r0, 1;
    setp.eq.s32 %p0, %r1, 0;
    st.param.b32 [result], 100;
    @%p0 ret;
    st.param.b32 [result], 200;
    ret;
}
// A structure: bytes, words, double words.
.func (.param .align 16 .b8 result[32]) turn(.param .align 16 .b8 value[32])
{
    .reg .b16 %h<4>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    ld.param.v2.u8 {%h0, %h1}, [value];
    ld.param.v2.u32 {%r0, %r1}, [value+8];
    ld.param.v2.u64 {%rd0, %rd1}, [value+16];
    st.param.v2.b8 [result], {%h1, %h0};
    st.param.v2.b32 [result+8], {%r1, %r0};
    st.param.v2.b64 [result+16], {%rd1, %rd0};
    ret;
}
.func (.param .b32 result) double(.param .b32 value);
.alias double, twice;
.func store(.param .b64 to, .param .b32 value)
{
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    ld.param.u64 %rd0, [to];
    ld.param.u32 %r0, [value];
    st.global.u32 [%rd0], %r0;
}
.func deep(.param .b32 value)
{
    .local .align 4 .b8 own[512];
    .reg .b32 %r<4>;
    ld.param.u32 %r0, [value];
    st.local.u32 [own], %r0;
    { .param .b32 a; st.param.b32 [a], %r0; call.uni deep, (a); }
    ret;
}
// Local memory of a function, by name and by its generic address.
.func (.param .b32 result) remember(.param .b32 value)
{
    .local .align 8 .b8 own[16];
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    ld.param.u32 %r0, [value];
    mov.u64 %rd0, own;
    cvta.local.u64 %rd1, %rd0;
    st.local.u32 [own+4], %r0;
    ld.u32 %r1, [%rd1+4];
    ld.local.u32 %r2, [%rd0+4];
    add.s32 %r1, %r1, %r2;
    st.param.b32 [result], %r1;
    ret;
}
";

fn fibonacci(n: u32) -> u32 {
    if n < 2 {
        n
    } else {
        fibonacci(n - 1) + fibonacci(n - 2)
    }
}

pub fn family() -> Family {
    let mut programs = branches();
    programs.extend(calls());
    programs.extend(ends());
    Family {
        tables: vec![],
        programs,
    }
}

fn branches() -> Vec<Program> {
    vec![
        program(
            "a branch that half of the lanes take",
            "
            and.b32 %r0, %t, 1;
            setp.eq.s32 %p0, %r0, 0;
            @%p0 bra even;
            mov.b32 %r1, 10;
            bra.uni done;
            even: mov.b32 %r1, 20;
            done: add.s32 %r1, %r1, %t;
            st.global.u32 [%mine], %r1;
            ",
            each(|t| if t % 2 == 0 { 20 + t } else { 10 + t }),
        ),
        program(
            "a loop with another number of rounds in each lane",
            "
            mov.b32 %r0, 0;
            mov.b32 %r1, 0;
            setp.eq.s32 %p0, %t, 0;
            @%p0 bra done;
            again: add.s32 %r0, %r0, %r1;
            add.s32 %r1, %r1, 1;
            setp.lt.u32 %p1, %r1, %t;
            @%p1 bra again;
            done: st.global.u32 [%mine], %r0;
            ",
            each(|t| (0..t).sum()),
        ),
        program(
            "a table of branches",
            "
            rem.u32 %r0, %t, 4;
            mov.b32 %r1, 0;
            brx.idx %r0, list;
            list: .branchtargets zero, one, two, one;
            zero: mov.b32 %r1, 5;
            bra done;
            one: mov.b32 %r1, 6;
            two: add.s32 %r1, %r1, 1;
            done: st.global.u32 [%mine], %r1;
            ",
            each(|t| [5, 7, 1, 7][t as usize % 4]),
        ),
        program(
            "a table of branches, guarded",
            "
            setp.lt.u32 %p0, %t, 2;
            mov.b32 %r1, 0;
            @%p0 brx.idx.uni %t, list;
            list: .branchtargets zero, one;
            mov.b32 %r1, 9;
            bra done;
            zero: mov.b32 %r1, 5;
            bra done;
            one: mov.b32 %r1, 6;
            done: st.global.u32 [%mine], %r1;
            ",
            each(|t| match t {
                0 => 5,
                1 => 6,
                _ => 9,
            }),
        ),
        program(
            "a flag that nothing but a table of branches looks at",
            "
            .shared .align 4 .b32 flag;
            setp.eq.s32 %p0, %t, 0;
            @%p0 st.shared.u32 [flag], 0;
            bar.sync 0;
            setp.ge.u32 %p1, %t, 32;
            @%p1 bra again;
            @%p0 st.volatile.shared.u32 [flag], 1;
            bra done;
            again: ld.volatile.shared.u32 %r0, [flag];
            brx.idx %r0, list;
            list: .branchtargets again, done;
            done: st.global.u32 [%mine], 4;
            ",
            Want::Words(vec![4; 64]),
        )
        .grid(1, 64),
        program(
            "an index behind the end of the table",
            "
            brx.idx %t, list;
            list: .branchtargets zero;
            zero: st.global.u32 [%mine], 1;
            ",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a guard of all lanes, of none, and negated",
            "setp.lt.s32 %p0, %t, 0; mov.b32 %r0, 1; @%p0 mov.b32 %r0, 2; @!%p0 add.s32 %r0, %r0, 4; st.global.u32 [%mine], %r0;",
            each(|_| 5),
        ),
        program(
            "a pause, hints",
            "nanosleep.u32 100; mov.b32 %r0, 20; nanosleep.u32 %r0; griddepcontrol.wait; griddepcontrol.launch_dependents; setmaxnreg.inc.sync.aligned.u32 240; setmaxnreg.dec.sync.aligned.u32 24; pmevent 1; st.global.u32 [%mine], 3;",
            each(|_| 3),
        ),
    ]
}

fn calls() -> Vec<Program> {
    let one = |name: &str, argument: &str| {
        format!(
            "{{ .param .b32 argument; .param .b32 back; st.param.b32 [argument], {argument}; call.uni (back), {name}, (argument); ld.param.b32 %r0, [back]; }}"
        )
    };
    // Prints `%*.*f` with what lies at an address.
    let print = |what: &'static str, arguments: &str, want: Want| {
        let body = format!(
            "
            mov.u64 %rd1, text;
            cvta.global.u64 %rd1, %rd1;
            mov.u64 %rd2, numbers;
            cvta.global.u64 %rd2, %rd2;
            {{ .param .b64 format; .param .b64 arguments; .param .b32 count;
            st.param.b64 [format], %rd1;
            st.param.b64 [arguments], {arguments};
            call.uni (count), vprintf, (format, arguments);
            ld.param.b32 %r0, [count]; }}
            st.global.u32 [%mine], %r0;
            "
        );
        program(what, &body, want)
    };
    let all = vec![
        program(
            "a call",
            &format!("{}\nst.global.u32 [%mine], %r0;", one("twice", "%t")),
            each(|t| 2 * t),
        ),
        program(
            "a call by another name, and through its address",
            &format!(
                "{}\nmov.u64 %rd1, double;\n{}\nst.global.u32 [%mine], %r0;",
                one("double", "%t"),
                one("%rd1", "%r0").replace("(argument)", "(argument), proto")
                    + "\nproto: .callprototype (.param .b32 _) _ (.param .b32 _);"
            ),
            each(|t| 4 * t),
        ),
        print(
            "a width and a precision beyond all bounds",
            "%rd2",
            each(|_| 3),
        ),
        print(
            "arguments at the end of all addresses",
            "-1",
            Want::Fault(FaultKind::IllegalAddress),
        ),
        program(
            "a call through no address",
            "
            mov.b64 %rd1, 0;
            call %rd1, proto;
            proto: .callprototype _;
            ",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a call through an address with an argument that is too small",
            "
            mov.u64 %rd1, twice;
            { .param .b16 a; .param .b32 b;
            st.param.b16 [a], 1;
            call (b), %rd1, (a), proto; }
            proto: .callprototype (.param .b32 _) _ (.param .b16 _);
            ",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a call without .uni",
            &format!(
                "{}\nst.global.u32 [%mine], %r0;",
                one("twice", "%t").replace("call.uni", "call")
            ),
            each(|t| 2 * t),
        ),
        program(
            "arguments of two sizes, a result of 64 bits",
            "
            cvt.u64.u32 %rd0, %t;
            { .param .b32 a; .param .b64 b; .param .b64 c;
            st.param.b32 [a], 7;
            st.param.b64 [b], %rd0;
            call.uni (c), widen, (a, b);
            ld.param.b64 %rd1, [c]; }
            shr.u64 %rd2, %rd1, 32;
            add.s64 %rd1, %rd1, %rd2;
            cvt.u32.u64 %r0, %rd1;
            st.global.u32 [%mine], %r0;
            ",
            each(|t| 7 + t),
        ),
        program(
            "recursion, to another depth in each lane",
            &format!(
                "and.b32 %r1, %t, 7;\n{}\nst.global.u32 [%mine], %r0;",
                one("fibonacci", "%r1")
            ),
            each(|t| fibonacci(t & 7)),
        ),
        program(
            "a function that returns early in some lanes",
            &format!("{}\nst.global.u32 [%mine], %r0;", one("parity", "%t")),
            each(|t| if t % 2 == 0 { 100 } else { 200 }),
        ),
        program(
            "a call in one side of a branch",
            &format!(
                "mov.b32 %r0, 3; setp.lt.u32 %p0, %t, 11;\n@%p0 bra skip;\n{}\nskip: st.global.u32 [%mine], %r0;",
                one("twice", "%t")
            ),
            each(|t| if t < 11 { 3 } else { 2 * t }),
        ),
        program(
            "a guarded call",
            "
            mov.b32 %r0, 3;
            setp.lt.u32 %p0, %t, 11;
            { .param .b32 a; .param .b32 b;
            st.param.b32 [a], %t;
            st.param.b32 [b], 5;
            @%p0 call (b), twice, (a);
            ld.param.b32 %r0, [b]; }
            st.global.u32 [%mine], %r0;
            ",
            each(|t| if t < 11 { 2 * t } else { 5 }),
        ),
        program(
            "a structure in and out",
            "
            cvt.u64.u32 %rd0, %t;
            mov.b64 %rd1, 1000;
            mov.b16 %h0, 1;
            mov.b16 %h1, 2;
            { .param .align 16 .b8 a[32]; .param .align 16 .b8 b[32];
            st.param.v2.b8 [a], {%h0, %h1};
            st.param.v2.b32 [a+8], {10, 20};
            st.param.v2.b64 [a+16], {%rd0, %rd1};
            call.uni (b), turn, (a);
            ld.param.b8 %r0, [b];
            ld.param.b32 %r1, [b+8];
            ld.param.v2.u64 {%rd2, %rd3}, [b+16]; }
            cvt.u32.u64 %r2, %rd2;
            cvt.u32.u64 %r3, %rd3;
            mad.lo.s32 %r2, %r3, 2, %r2;
            add.s32 %r2, %r2, %r1;
            add.s32 %r2, %r2, %r0;
            st.global.u32 [%mine], %r2;
            ",
            each(|t| 2 + 20 + 1000 + 2 * t),
        ),
        program(
            "a function without result, and without ret",
            "
            { .param .b64 a; .param .b32 b;
            st.param.b64 [a], %mine;
            st.param.b32 [b], %t;
            call.uni store, (a, b); }
            ",
            each(|t| t),
        ),
        program(
            "local memory of a function",
            &format!("{}\nst.global.u32 [%mine], %r0;", one("remember", "%t")),
            each(|t| 2 * t),
        ),
        program(
            "the stack is full",
            "{ .param .b32 a; st.param.b32 [a], %t; call.uni deep, (a); }",
            Want::Fault(FaultKind::StackOverflow),
        ),
    ];
    all.into_iter()
        .map(|program| program.before(FUNCTIONS))
        .collect()
}

fn ends() -> Vec<Program> {
    vec![
        program(
            "some lanes exit, the others go on",
            "st.global.u32 [%mine], 1; setp.lt.u32 %p0, %t, 7; @%p0 exit; st.global.u32 [%mine], 2;",
            each(|t| if t < 7 { 1 } else { 2 }),
        ),
        program(
            "some lanes return, the others go on",
            "st.global.u32 [%mine], 1; setp.lt.u32 %p0, %t, 7; @%p0 ret; st.global.u32 [%mine], 2; ret.uni;",
            each(|t| if t < 7 { 1 } else { 2 }),
        ),
        program("a trap", "trap;", Want::Fault(FaultKind::LaunchFailed)),
        program(
            "a trap of one lane",
            "setp.eq.s32 %p0, %t, 3; @%p0 trap;",
            Want::Fault(FaultKind::LaunchFailed),
        ),
        program(
            "a trap of no lane",
            "setp.lt.s32 %p0, %t, 0; @%p0 trap; st.global.u32 [%mine], 1;",
            each(|_| 1),
        ),
    ]
}
