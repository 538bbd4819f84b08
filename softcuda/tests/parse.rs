//! PTX text into a module: every construct that compilers write, lines, and what is refused.

use softcuda::ptx::ast::*;
use softcuda::ptx::parse::parse;

const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

/// A module whose text begins on line 4.
fn module(text: &str) -> Module {
    match parse(&format!("{HEAD}{text}")) {
        Ok(module) => module,
        Err(error) => panic!("{error}\n{text}"),
    }
}

/// The error of a text that begins on line 4.
fn refused(text: &str) -> (u32, String) {
    match parse(&format!("{HEAD}{text}")) {
        Ok(module) => panic!("accepted: {text}\n{module:?}"),
        Err(error) => (error.line, error.message),
    }
}

fn body(text: &str) -> Vec<Statement> {
    let mut module = module(&format!(".entry k()\n{{\n{text}\n}}\n"));
    module.functions.remove(0).body.unwrap()
}

/// The one instruction of `text`.
fn instruction(text: &str) -> Instruction {
    match body(text).remove(0) {
        Statement::Instruction(instruction) => instruction,
        other => panic!("{other:?}"),
    }
}

/// The operands of one instruction with these operands.
fn operands(text: &str) -> Vec<Operand> {
    instruction(&format!("op.b32 {text};")).operands
}

/// The one variable of module scope.
fn variable(text: &str) -> Variable {
    module(text).variables.remove(0)
}

fn name(name: &str) -> Operand {
    Operand::Name(name.to_string())
}

fn address(base: &str, offset: i64) -> Operand {
    Operand::Address {
        base: (!base.is_empty()).then(|| base.to_string()),
        offset,
    }
}

#[test]
fn the_head_of_a_module() {
    let text = "// made by hand\n.version 9.10\n.target sm_90a, debug\n.address_size 64\n";
    let module = parse(text).unwrap();
    assert_eq!(module.version, (9, 10));
    assert_eq!((module.target.as_str(), module.sm), ("sm_90a", 90));
    let module = parse(".version 7.0\n.target sm_120f\n").unwrap();
    assert_eq!((module.target.as_str(), module.sm), ("sm_120f", 120));
}

#[test]
fn a_head_that_is_wrong() {
    let line = |text: &str| {
        let error = parse(text).unwrap_err();
        (error.line, error.message)
    };
    assert_eq!(
        line(""),
        (1, "expected `.version`, found the end of the text".into())
    );
    assert_eq!(
        line("\n.target sm_80"),
        (2, "expected `.version`, found `.target`".into())
    );
    assert_eq!(
        line(".version 8\n"),
        (1, "expected a version such as 8.0, found `8`".into())
    );
    assert_eq!(
        line(".version 8.0\n.entry k"),
        (2, "expected `.target`, found `.entry`".into())
    );
    let message = "expected an architecture such as sm_80, found `compute_80`";
    assert_eq!(
        line(".version 8.0\n.target compute_80"),
        (2, message.into())
    );
    let message = "an option of the target that is not known: `map_f64_to_f32`";
    assert_eq!(
        line(".version 8.0\n.target sm_80,\nmap_f64_to_f32"),
        (3, message.into())
    );
    let message = "only addresses of 64 bits are known";
    assert_eq!(
        line(".version 8.0\n.target sm_80\n.address_size 32"),
        (3, message.into())
    );
}

#[test]
fn the_display_of_an_error_names_the_line() {
    assert_eq!(
        parse(".version 8.0\n.target 5").unwrap_err().to_string(),
        "PTX line 2: expected an architecture such as sm_80, found `5`"
    );
}

#[test]
fn files_sections_pragmas_and_aliases() {
    let module = module(
        ".file 1 \"a b/k.cu\"\n.file\t2 \"x\\\"y.h\", 1700000000, 4096\n.pragma \"one\", \"two\";\n\
         .section .debug_str\n{\n$L__info_string0:\n.b8 115 // s\n.b32 .debug_abbrev\n.b64 $L1-$L0+0x10\n}\n\
         .section .debug_macinfo { }\n.alias other, k;\n.func k { ret; }",
    );
    assert_eq!(
        module.files,
        [(1, "a b/k.cu".into()), (2, "x\\\"y.h".into())]
    );
    assert_eq!(module.aliases, [("other".into(), "k".into())]);
    assert_eq!(module.functions.len(), 1);
}

#[test]
fn kernels_their_parameters_and_limits() {
    let module = module(
        ".visible .entry k(\n\t.param .u64 .ptr .global .align 16 k_param_0,\n\t.param .u64 .ptr .align 1 b,\n\t\
         .param .align 8 .b8 c[16],\n\t.param .f32 d,\n\t.param .u32 e[4]\n)\n.maxntid 256, 2\n.reqntid 128,1,1\n.minnctapersm 2\n\
         .maxnreg 64\n.maxnctapersm 4\n.explicitcluster\n.reqnctapercluster 2, 1, 1\n.maxclusterrank 8\n.pragma \"nounroll\";\n{ ret; }\n\
         .weak .entry l { ret; }\n.entry m() .maxntid 32 { ret; }\n.visible .entry n(.param .b32 n_0);",
    );
    let kernel = &module.functions[0];
    assert_eq!(
        (
            kernel.name.as_str(),
            kernel.entry,
            kernel.linkage,
            kernel.line
        ),
        ("k", true, Linkage::Visible, 4)
    );
    let params: Vec<_> = kernel
        .params
        .iter()
        .map(|p| (p.name.as_str(), p.ty, p.align, p.count, p.space, p.line))
        .collect();
    assert_eq!(
        params,
        [
            ("k_param_0", Type::U64, 8, 1, Space::Param, 5),
            ("b", Type::U64, 8, 1, Space::Param, 6),
            ("c", Type::B8, 8, 16, Space::Param, 7),
            ("d", Type::F32, 4, 1, Space::Param, 8),
            ("e", Type::U32, 4, 4, Space::Param, 9),
        ]
    );
    assert_eq!(
        kernel.limits,
        Limits {
            max_threads: Some([256, 2, 1]),
            required_threads: Some([128, 1, 1]),
            min_blocks: Some(2),
            max_registers: Some(64),
            required_cluster: Some([2, 1, 1]),
        }
    );
    assert_eq!(module.functions[1].linkage, Linkage::Weak);
    assert!(module.functions[1].params.is_empty());
    assert_eq!(module.functions[2].limits.max_threads, Some([32, 1, 1]));
    assert!(module.functions[3].body.is_none());
}

#[test]
fn functions() {
    let module = module(
        ".extern .func  (.param .b32 func_retval0) vprintf\n(\n\t.param .b64 vprintf_param_0,\n\t.param .b64 vprintf_param_1\n)\n;\n\
         .func stop() .noreturn\n{ trap; }\n.visible .func (.param .align 8 .b8 r[16]) f(.param .b32 a, .param .b8 more[]) { ret; }\n\
         .func plain { ret; }\n.weak .func .attribute(.unified(1, 2)) u(.param .f64 x);",
    );
    let print = &module.functions[0];
    assert_eq!(
        (print.entry, print.linkage, &print.body),
        (false, Linkage::Extern, &None)
    );
    assert_eq!(
        (print.results[0].name.as_str(), print.params.len()),
        ("func_retval0", 2)
    );
    assert_eq!(module.functions[1].line, 10);
    assert_eq!(module.functions[2].results[0].bytes(), 16);
    assert_eq!(module.functions[2].params[1].count, 0);
    assert!(module.functions[3].params.is_empty());
    assert_eq!(module.functions[4].name, "u");
}

#[test]
fn variables() {
    let shared = variable(".extern .shared .align 16 .b8 smem[];");
    assert_eq!(
        (shared.space, shared.linkage, shared.align, shared.count),
        (Space::Shared, Linkage::Extern, 16, 0)
    );
    let matrix = variable("\n.visible .global .f32 m[2][3];");
    assert_eq!(
        (matrix.space, matrix.linkage, matrix.align, matrix.count),
        (Space::Global, Linkage::Visible, 4, 6)
    );
    assert_eq!((matrix.line, matrix.bytes()), (5, 24));
    let vector = variable(".const .v4 .f32 v[2];");
    assert_eq!(
        (vector.space, vector.align, vector.count),
        (Space::Const, 16, 8)
    );
    let managed = variable(".global .attribute(.managed) .align 4 .u32 a;");
    assert_eq!((managed.count, managed.align), (1, 4));
    assert_eq!(variable(".common .global .b64 c;").linkage, Linkage::Common);
    assert_eq!(variable(".weak .const .b64 c;").linkage, Linkage::Weak);
    let two = module(".global .u8 a[3], b;").variables;
    assert_eq!(
        (two[0].count, two[1].count, two[1].name.as_str()),
        (3, 1, "b")
    );
    assert_eq!(variable(".extern .shared .u32 rows[][4];").count, 0);
}

#[test]
fn initial_values() {
    let init = |text: &str| variable(&format!("{text};")).init;
    let place = |name: &str, offset| Init::Address {
        name: name.into(),
        offset,
    };
    assert_eq!(init(".global .u32 a = 5"), [Init::Int(5)]);
    assert_eq!(init(".global .b32 a = -1"), [Init::Int(u64::MAX)]);
    assert_eq!(
        init(".global .u8 a[5] = {1, 0x1F, 0b101, 017, 3U}"),
        [
            Init::Int(1),
            Init::Int(31),
            Init::Int(5),
            Init::Int(15),
            Init::Int(3)
        ]
    );
    assert_eq!(init(".global .f32 a = 0f3F800000"), [Init::Float(1.0)]);
    assert_eq!(init(".global .b32 a = 0fC0000000"), [Init::Float(-2.0)]);
    assert_eq!(
        init(".global .f64 a[3] = {0d3FF8000000000000, -1.5, 1e3}"),
        [1.5, -1.5, 1000.0].map(Init::Float)
    );
    assert_eq!(
        init(".global .align 8 .u64 a[5] = {generic(arr)+8, arr, arr+4, f, 3}"),
        [
            place("arr", 8),
            place("arr", 0),
            place("arr", 4),
            place("f", 0),
            Init::Int(3)
        ]
    );
    assert_eq!(init(".global .u64 a = generic"), [place("generic", 0)]);
    let Init::Float(nan) = init(".global .f32 a = 0fFF800001")[0] else {
        panic!()
    };
    assert_eq!(
        nan.to_bits(),
        0xfff0_0000_2000_0000,
        "a signalling NaN keeps its bits"
    );
}

#[test]
fn initial_values_in_rows() {
    let ints = |init: &[Init]| -> Vec<u64> {
        init.iter()
            .map(|value| {
                if let Init::Int(value) = value {
                    *value
                } else {
                    panic!()
                }
            })
            .collect()
    };
    let rows = variable(".global .u32 a[2][3] = {{1, 2}, {3}};");
    assert_eq!((rows.count, ints(&rows.init)), (6, vec![1, 2, 0, 3]));
    let open = variable(".global .u8 a[] = {1, 2, 3};");
    assert_eq!((open.count, open.init.len()), (3, 3));
    let open = variable(".global .u8 a[][2] = {{1}, {2, 3}, {4}, {}};");
    assert_eq!((open.count, ints(&open.init)), (8, vec![1, 0, 2, 3, 4]));
    let vector = variable(".global .v2 .b32 a[2] = {{1, 2}, {3, 4}};");
    assert_eq!((vector.count, ints(&vector.init)), (4, vec![1, 2, 3, 4]));
    assert!(variable(".global .u8 a[4] = {};").init.is_empty());
}

#[test]
fn registers() {
    let text = ".reg .b32 %r<6>, tmp;\n.reg .pred p, q;\n.reg .v4 .f32 v<2>;\n.reg.u64 old;\n.reg .b128 %rq<0>;";
    let registers: Vec<_> = body(text)
        .into_iter()
        .map(|statement| match statement {
            Statement::Registers {
                ty,
                width,
                names,
                line,
            } => (ty, width, names, line),
            other => panic!("{other:?}"),
        })
        .collect();
    let named = |name: &str, count| (name.to_string(), count);
    assert_eq!(
        registers[0],
        (
            Type::B32,
            1,
            vec![named("%r", Some(6)), named("tmp", None)],
            6
        )
    );
    assert_eq!(
        registers[1],
        (Type::Pred, 1, vec![named("p", None), named("q", None)], 7)
    );
    assert_eq!(registers[2], (Type::F32, 4, vec![named("v", Some(2))], 8));
    assert_eq!(registers[3], (Type::U64, 1, vec![named("old", None)], 9));
    assert_eq!(
        registers[4],
        (Type::B128, 1, vec![named("%rq", Some(0))], 10)
    );
}

#[test]
fn variables_blocks_and_labels_in_a_body() {
    let body = body(
        ".shared .align 4 .b8 tile[1088];\n.local .align 8 .b8 \t__local_depot0[16];\n{ // callseq 0, 0\n.reg .b32 temp;\n.param .b32 p0;\n\
         st.param.b32 [p0+0], %r4;\n} // callseq 0\n$L__BB0_2:\nold: ret;\n.pragma \"nounroll\";\n\
         table: .branchtargets $L__BB0_2, old;\n\
         proto : .callprototype (.param .b32 _) _ (.param .b64 _, .param .align 8 .b8 _[16]) .noreturn;\nempty : .callprototype _;\n\
         to: .calltargets f, g;\nend:",
    );
    assert!(
        matches!(&body[0], Statement::Variable(v) if v.space == Space::Shared && v.count == 1088 && v.line == 6)
    );
    assert!(matches!(&body[1], Statement::Variable(v) if v.space == Space::Local && v.align == 8));
    let Statement::Block(block) = &body[2] else {
        panic!()
    };
    assert!(matches!(&block[1], Statement::Variable(v) if v.space == Space::Param));
    assert!(
        matches!(&block[2], Statement::Instruction(i) if i.operands == [address("p0", 0), name("%r4")])
    );
    assert_eq!(body[3], Statement::Label("$L__BB0_2".into()));
    assert_eq!(body[4], Statement::Label("old".into()));
    assert!(matches!(&body[5], Statement::Instruction(i) if i.opcode == "ret" && i.line == 14));
    assert_eq!(
        body[6],
        Statement::BranchTargets {
            name: "table".into(),
            labels: vec!["$L__BB0_2".into(), "old".into()]
        }
    );
    assert_eq!(body[7], Statement::Label("end".into()));
    assert_eq!(body.len(), 8);
}

#[test]
fn guards() {
    let guard = |text: &str| {
        instruction(text)
            .guard
            .map(|guard| (guard.name, guard.negated))
    };
    assert_eq!(guard("bra $L;"), None);
    assert_eq!(guard("@%p1 bra \t$L__BB0_2;"), Some(("%p1".into(), false)));
    assert_eq!(guard("@!%p1 bra.uni $L;"), Some(("%p1".into(), true)));
    assert_eq!(guard("@ ! p exit;"), Some(("p".into(), true)));
}

#[test]
fn opcodes() {
    let opcode = |text: &str| instruction(text).opcode;
    for text in [
        "ld.global.L2::128B.v4.u32",
        "cp.async.cg.shared.global.L2::cache_hint",
        "mbarrier.try_wait.parity.shared::cta.b64",
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16",
        "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes",
        "ret",
        "set.CC.lt.s32",
    ] {
        assert_eq!(opcode(&format!("{text} %r1;")), text);
    }
    assert_eq!(opcode("ld .global .u32 a, [b];"), "ld.global.u32");
    assert_eq!(
        opcode("ld.global\n\t.shared::cta.u32 a, [b];"),
        "ld.global.shared::cta.u32"
    );
}

#[test]
fn operands_of_every_kind() {
    assert_eq!(
        operands("%r1, a, $L__BB0, %tid.x, v.x"),
        ["%r1", "a", "$L__BB0", "%tid.x", "v.x"].map(name)
    );
    assert_eq!(
        operands("1, -1, 0x10, 0X1f, 017, 0b11, 4000000000U, 0xFFFFFFFFFFFFFFFF, 0, WARP_SZ, 00"),
        [
            1,
            u64::MAX,
            16,
            31,
            15,
            3,
            4_000_000_000,
            u64::MAX,
            0,
            32,
            0
        ]
        .map(Operand::Int)
    );
    assert_eq!(
        operands("0f3F800000, 0Fff800001, 0dFFF0000000000001, 1.5, -2.0, 1e3, .5, 1., 2.5E-1"),
        [
            Operand::F32(0x3f80_0000),
            Operand::F32(0xff80_0001),
            Operand::F64(0xfff0_0000_0000_0001),
            Operand::F64(1.5f64.to_bits()),
            Operand::F64((-2f64).to_bits()),
            Operand::F64(1000f64.to_bits()),
            Operand::F64(0.5f64.to_bits()),
            Operand::F64(1f64.to_bits()),
            Operand::F64(0.25f64.to_bits()),
        ]
    );
    assert_eq!(
        operands(
            "[%rd], [%rd+16], [ %rd + 0x10 ], [var], [var+8], [%r+-4], [123], [-16], [a+4+4], [%rd + 9223372036854775807]"
        ),
        [
            address("%rd", 0),
            address("%rd", 16),
            address("%rd", 16),
            address("var", 0),
            address("var", 8),
            address("%r", -4),
            address("", 123),
            address("", -16),
            address("a", 8),
            address("%rd", i64::MAX),
        ]
    );
    assert_eq!(
        operands("arr+4, arr + -8"),
        [4, -8].map(|offset| Operand::Offset {
            name: "arr".into(),
            offset
        })
    );
    assert_eq!(
        operands("{%f1,%f2}, {0, %rs1}, {_, %r1}, {%r1}"),
        [
            Operand::Vector(vec![name("%f1"), name("%f2")]),
            Operand::Vector(vec![Operand::Int(0), name("%rs1")]),
            Operand::Vector(vec![Operand::Sink, name("%r1")]),
            Operand::Vector(vec![name("%r1")]),
        ]
    );
    assert_eq!(
        operands("p|q, a, !c, _, %r1 | %p2, p|_, _|q"),
        [
            Operand::Pair(name("p").into(), name("q").into()),
            name("a"),
            Operand::Not("c".into()),
            Operand::Sink,
            Operand::Pair(name("%r1").into(), name("%p2").into()),
            Operand::Pair(name("p").into(), Operand::Sink.into()),
            Operand::Pair(Operand::Sink.into(), name("q").into()),
        ]
    );
    assert_eq!(
        operands("[map, {%r1, %r2}], [bar]"),
        [
            Operand::Group(vec![
                address("map", 0),
                Operand::Vector(vec![name("%r1"), name("%r2")])
            ]),
            address("bar", 0),
        ]
    );
    assert!(instruction("ret;").operands.is_empty());
}

#[test]
fn calls() {
    let call = instruction("call.uni (retval0), \n\t_Z3fibi, \n\t(\n\tparam0,\n\tparam1\n\t);");
    assert_eq!(call.opcode, "call.uni");
    assert_eq!(
        call.operands,
        [
            Operand::Group(vec![name("retval0")]),
            name("_Z3fibi"),
            Operand::Group(vec![name("param0"), name("param1")])
        ]
    );
    let indirect = instruction("call (retval0),\n%rd1,\n(param0)\n, prototype_0;");
    assert_eq!(
        indirect.operands,
        [
            Operand::Group(vec![name("retval0")]),
            name("%rd1"),
            Operand::Group(vec![name("param0")]),
            name("prototype_0")
        ]
    );
    assert_eq!(
        instruction("call f, ();").operands,
        [name("f"), Operand::Group(vec![])]
    );
    assert_eq!(instruction("call f;").operands, [name("f")]);
}

#[test]
fn locations_reach_the_instructions_after_them() {
    let module = module(
        ".entry k {\nret;\n.loc 1 7 29\nret;\n{ ret; .loc 2 448 9, function_name $L__info_string0, inlined_at 1 19 3\n}\nret;\n\
         .loc\t3 5 0, function_name $L+12, inlined_at 2 1 1 // x\nret; }\n.entry l { ret; }",
    );
    fn places(statements: &[Statement], into: &mut Vec<(u32, u32)>) {
        for statement in statements {
            match statement {
                Statement::Instruction(i) => into.push((i.location.file, i.location.line)),
                Statement::Block(block) => places(block, into),
                other => panic!("{other:?}"),
            }
        }
    }
    let mut found = Vec::new();
    places(module.functions[0].body.as_ref().unwrap(), &mut found);
    places(module.functions[1].body.as_ref().unwrap(), &mut found);
    assert_eq!(found, [(0, 0), (1, 7), (1, 7), (2, 448), (3, 5), (0, 0)]);
}

#[test]
fn lines_are_those_where_instructions_begin() {
    let lines: Vec<u32> =
        body("/* one\n two */ ret;\n\n@%p1 // guard\n bra L;\r\ncall\nf\n,\n(\n);\n/**/ret;/* \n */ ret;")
            .iter()
            .map(|statement| if let Statement::Instruction(i) = statement { i.line } else { panic!() })
            .collect();
    assert_eq!(lines, [7, 9, 11, 16, 17]);
}

#[test]
fn what_is_refused_and_where() {
    let at = |text: &str, line: u32, message: &str| {
        assert_eq!(refused(text), (line, message.to_string()), "{text}")
    };
    at("\n\n$", 6, "expected a directive, found `$`");
    at(
        ".entry k {\n  add.s32 %r1, %r2 %r3;\n}",
        5,
        "expected `;` after an instruction, found `%r3`",
    );
    at(
        ".entry k {\n add.s32 %r1,\n;}",
        6,
        "expected an operand, found `;`",
    );
    at(
        ".entry k {\n ret;\n",
        6,
        "expected a statement or `}`, found the end of the text",
    );
    at(
        ".entry k {\n %r1 = 5;\n}",
        5,
        "expected an instruction, found `%r1`",
    );
    at(
        ".entry k {\n ;\n}",
        5,
        "expected a statement or `}`, found `;`",
    );
    at(
        ".entry k {\n.bogus;\n}",
        5,
        "expected a statement, found `.bogus`",
    );
    at(
        ".entry k {\n.reg .q32 a;\n}",
        5,
        "expected a register's type, found `.q32`",
    );
    at(
        ".entry k {\n@%p1 { ret; }\n}",
        5,
        "expected an instruction, found `{`",
    );
    at(
        ".entry k {\nld.u32 a, [b-4];\n}",
        5,
        "expected `]` after an address, found `-`",
    );
    at(
        ".entry k {\nld.u32 a, [b[4]];\n}",
        5,
        "expected `]` after an address, found `[`",
    );
    at(
        ".entry k {\nmov.u32 a, 08;\n}",
        5,
        "not a number of PTX, or one that does not fit 64 bits: `08`",
    );
    at(
        ".entry k {\nmov.u32 a, 0f3f8;\n}",
        5,
        "not a number of PTX, or one that does not fit 64 bits: `0f3f8`",
    );
    at(
        ".entry k {\nmov.u32 a, 1u;\n}",
        5,
        "not a number of PTX, or one that does not fit 64 bits: `1u`",
    );
    at(
        ".entry k {\nmov.f32 a, -0f3F800000;\n}",
        5,
        "a minus before the bits of a number",
    );
    at(
        ".entry k {\nmov.u64 a, 18446744073709551616;\n}",
        5,
        "not a number of PTX, or one that does not fit 64 bits: `18446744073709551616`",
    );
    at(
        ".entry k {\n.reg .b32 %r<4000000000>;\n}",
        5,
        "4000000000 registers; at most 1048576 can be declared at once",
    );
    at(
        ".entry k {\n.loc 1 2;\n}",
        5,
        "expected a column, found `;`",
    );
    at(
        ".entry k {\n.loc 1 4294967296 0\n}",
        5,
        "a line does not fit 32 bits: 4294967296",
    );
    at(
        ".entry k {\na.b: ret;\n}",
        5,
        "expected a label, found `a.b`",
    );
    at(
        ".entry k(.reg .u32 a) {}",
        4,
        "expected `.param`, found `.reg`",
    );
    at(
        ".entry k(.param .u32 a,\n)",
        5,
        "expected `.param`, found `)`",
    );
    at(
        ".entry k(.param .texref t) {}",
        4,
        "expected a type, found `.texref`",
    );
    at(
        ".entry k()\n.blocksareclusters\n{}",
        5,
        "expected a directive of a function, its body, or `;`, found `.blocksareclusters`",
    );
    at(
        ".func f()\n.maxntid 5\n{}",
        5,
        "expected a directive of a function, its body, or `;`, found `.maxntid`",
    );
    at(".extern 5", 4, "expected a directive, found `5`");
    at(
        ".extern .file 1 \"x\"",
        4,
        "expected a function or variable after its linkage, found `.file`",
    );
    at(
        ".tex .u32 t;",
        4,
        "expected a directive of module scope, found `.tex`",
    );
    at(
        ".global .u32 a\n.global .u32 b;",
        5,
        "expected `;` after a declaration, found `.global`",
    );
    at(
        ".global .align 3 .u32 a;",
        4,
        "expected an alignment that is a power of two, found 3",
    );
    at(
        ".global .pred a;",
        4,
        "a predicate lives in a register only",
    );
    at(".global .u32 .u32 a;", 4, "expected a name, found `.u32`");
    at(".global .u32 a[0];", 4, "an array of no elements");
    at(
        ".global .u32 a[4][];",
        4,
        "expected the size of an array, found `]`",
    );
    at(
        ".global .u32 a[];",
        4,
        "the size of `a` is left open, and it is neither .extern nor has values",
    );
    at(
        ".global .u32 a[4000000000][4000000000];",
        4,
        "`a` is larger than any memory",
    );
    at(
        ".global .u32 a[99999999999999];",
        4,
        "`a` is larger than any memory",
    );
    at(
        ".global .u32 a[2] = {1,\n2, 3};",
        5,
        "more than 2 values for an array of 2",
    );
    at(
        ".global .u32 a[2][2] = {1, 2};",
        4,
        "expected `{` before the values of an array, found `1`",
    );
    at(
        ".global .u32 a[2] = 5;",
        4,
        "expected `{` before the values of an array, found `5`",
    );
    at(
        ".global .u32 a = {5};",
        4,
        "expected an initial value, found `{`",
    );
    at(
        ".global .f32 a = 5;",
        4,
        "an integer as the initial value of a floating-point variable",
    );
    at(
        ".global .f32 a = b;",
        4,
        "expected a floating-point number, found `b`",
    );
    at(
        ".global .u8 a[2] = {0xff(b), 0};",
        4,
        "expected `}` after the values of an array, found `(`",
    );
    at(
        ".global .u8 a[3][2000000] = {{1}, {2}};",
        4,
        "an initial value far behind the one before it",
    );
    at(
        ".shared .u32 a = 5;",
        4,
        "only variables in .global and .const have initial values, and no .extern ones",
    );
    at("\n.section .x {\n 1\n", 5, "a section without its end");
    at("\n/* no end\n\n", 5, "a comment without its end");
    at(".file 1 \"x\n\"", 4, "a string without its closing quote");
    at(
        ".global .u32 é;",
        4,
        "a character that has no place in PTX: 'é'",
    );
    at(
        ".global .u32 a; \u{0}",
        4,
        "a character that has no place in PTX: '\\0'",
    );
}

#[test]
fn nesting_is_bounded() {
    let nest = |depth: usize| {
        format!(
            "{HEAD}.entry k {}ret;{}",
            "{".repeat(depth),
            "}".repeat(depth)
        )
    };
    assert!(parse(&nest(100)).is_ok());
    let error = parse(&nest(1_000_000)).unwrap_err();
    assert_eq!(error.message, "blocks nested more than 128 deep");
    for (open, close) in [("{", "}"), ("(", ")"), ("[a, ", "]")] {
        let text = format!(
            "{HEAD}.entry k {{ mov {}a{}; }}",
            open.repeat(100_000),
            close.repeat(100_000)
        );
        assert_eq!(
            parse(&text).unwrap_err().message,
            "operands nested too deep"
        );
    }
    let dims = format!("{HEAD}.global .u8 a{};", "[1]".repeat(100_000));
    assert_eq!(
        parse(&dims).unwrap_err().message,
        "an array of more than 8 dimensions"
    );
}

#[test]
fn a_message_stays_short_where_a_token_is_long() {
    let (_, message) = refused(&"x".repeat(1_000_000));
    assert!(message.len() < 200, "{message}");
}
