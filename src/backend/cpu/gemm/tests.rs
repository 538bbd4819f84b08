use super::{Mat, Out, Size, gemm, gemm_on};
use crate::backend::cpu::pool::{Pool, Shared};
use crate::backend::cpu::simd::Isa;
use crate::rng::{Purpose, Stream};

fn random(len: usize, sample: u64) -> Vec<f32> {
    let mut s = Stream::new(7, 0, sample, Purpose::Test);
    (0..len).map(|_| s.unit_f32() * 2.0 - 1.0).collect()
}

/// Row and column strides of an operand of `rows` by `cols`: plain, transposed, padded, and neither
/// stride 1.
fn layouts(rows: usize, cols: usize) -> [(usize, usize); 4] {
    [(cols, 1), (1, rows), (cols + 3, 1), (2 * cols + 1, 2)]
}

fn mat(data: &[f32], (rows, cols): (usize, usize)) -> Mat<'_> {
    Mat { data, rows, cols }
}

/// Checks one product against f64 sums; the allowance is the worst case of a chain of roundings.
fn check(isa: Isa, pool: &Pool, size: Size, la: (usize, usize), lb: (usize, usize), add: bool) {
    let Size { m, n, k } = size;
    let a = random(m.max(1) * la.0 + k * la.1, 1);
    let b = random(k.max(1) * lb.0 + n * lb.1, 2);
    let ldc = n + 2;
    let before = random(m * ldc, 3);
    let mut c = before.clone();
    let out = Out {
        data: &mut c,
        stride: ldc,
        add,
    };
    gemm_on(isa, pool, size, mat(&a, la), mat(&b, lb), out, None);
    // Of a large product some rows, the last included.
    let every = if m * n * k > 10_000_000 { 13 } else { 1 };
    for i in (0..m).rev().step_by(every) {
        for j in 0..ldc {
            let at = i * ldc + j;
            if j >= n {
                assert_eq!(c[at], before[at], "wrote beside C");
                continue;
            }
            let (mut want, mut weight) = (0.0, 0.0);
            for p in 0..k {
                let term = f64::from(a[i * la.0 + p * la.1]) * f64::from(b[p * lb.0 + j * lb.1]);
                want += term;
                weight += term.abs();
            }
            if add {
                want += f64::from(before[at]);
                weight += f64::from(before[at].abs());
            }
            let bound = weight * 6e-8 * (k as f64 + 2.0).sqrt() * 2.0;
            let error = (f64::from(c[at]) - want).abs();
            assert!(
                error <= bound,
                "{isa:?} {size:?} {la:?} {lb:?} add {add} at ({i}, {j}): {} for {want}, error {error:e}, bound {bound:e}",
                c[at]
            );
        }
    }
}

#[test]
fn awkward_sizes_and_all_layouts() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for m in [1, 5, 14, 15, 33, 97] {
            for n in [1, 7, 32, 59] {
                for k in [0, 1, 16, 37, 400] {
                    for (i, la) in layouts(m, k.max(1)).into_iter().enumerate() {
                        let lb = layouts(k.max(1), n)[(i + m + n) % 4];
                        check(isa, &pool, Size { m, n, k }, la, lb, (m + k) % 2 == 0);
                    }
                }
            }
        }
    }
}

#[test]
fn every_way_of_cutting() {
    let pool = Pool::new(3);
    for isa in Isa::available() {
        // Bands of rows; one part of k, then several.
        check(
            isa,
            &pool,
            Size {
                m: 1025,
                n: 70,
                k: 50,
            },
            (50, 1),
            (1, 50),
            false,
        );
        check(
            isa,
            &pool,
            Size {
                m: 1100,
                n: 40,
                k: 900,
            },
            (900, 1),
            (40, 1),
            true,
        );
        // A grid of blocks with shared panels of A, as in a weight gradient.
        check(
            isa,
            &pool,
            Size {
                m: 130,
                n: 300,
                k: 700,
            },
            (1, 130),
            (300, 1),
            true,
        );
    }
    // More than the shared buffers hold at once: several runs over k.
    let isa = Isa::best();
    check(
        isa,
        &pool,
        Size {
            m: 500,
            n: 530,
            k: 2500,
        },
        (1, 500),
        (530, 1),
        true,
    );
}

#[test]
fn empty_products() {
    let pool = Pool::new(2);
    for size in [Size { m: 0, n: 4, k: 3 }, Size { m: 4, n: 0, k: 3 }] {
        let out = Out {
            data: &mut [],
            stride: 0,
            add: false,
        };
        gemm(&pool, size, Mat::new(&[], 3), Mat::new(&[], 4), out, None);
    }
}

#[test]
#[should_panic(expected = "matrix B of 3 x 4 needs 12 elements, its slice has 11")]
fn a_short_operand_is_refused() {
    let (a, b, mut c) = ([0.0; 6], [0.0; 11], [0.0; 8]);
    let out = Out {
        data: &mut c,
        stride: 4,
        add: false,
    };
    let size = Size { m: 2, n: 4, k: 3 };
    gemm(
        &Pool::new(1),
        size,
        Mat::new(&a, 3),
        Mat::new(&b, 4),
        out,
        None,
    );
}

#[test]
fn same_bits_for_any_number_of_threads_and_inside_a_task() {
    for (m, n, k) in [(1100, 70, 800), (200, 160, 3000), (40, 300, 64)] {
        let (a, b) = (random(m * k, 1), random(k * n, 2));
        let size = Size { m, n, k };
        let product = |pool: &Pool, c: &mut [f32]| {
            let out = Out {
                data: c,
                stride: n,
                add: false,
            };
            gemm(pool, size, Mat::new(&a, k), Mat::new(&b, n), out, None);
        };
        let mut first = vec![0.0; m * n];
        product(&Pool::new(1), &mut first);
        for threads in [2, 3] {
            let pool = Pool::new(threads);
            let mut c = vec![0.0; m * n];
            product(&pool, &mut c);
            assert!(c == first, "{threads} threads");
            let mut inner = vec![0.0; 2 * m * n];
            let shared = Shared::new(&mut inner);
            pool.run(2, &|task, _| {
                // SAFETY: one half for each task.
                product(&pool, unsafe {
                    shared.slice(task * m * n..(task + 1) * m * n)
                });
            });
            assert!(inner[..m * n] == first && inner[m * n..] == first);
        }
    }
}

#[test]
fn the_epilogue_sees_every_element_once_and_finished() {
    let pool = Pool::new(2);
    for isa in Isa::available() {
        for (m, n, k) in [(1030, 35, 900), (150, 90, 900), (3, 2, 5), (3, 2, 0)] {
            let (a, b) = (random(m * k, 1), random(k * n, 2));
            let mut c = vec![0.0; m * n];
            let size = Size { m, n, k };
            let out = Out {
                data: &mut c,
                stride: n,
                add: false,
            };
            gemm_on(
                isa,
                &pool,
                size,
                Mat::new(&a, k),
                Mat::new(&b, n),
                out,
                None,
            );
            let mut changed = vec![0.0; m * n];
            let out = Out {
                data: &mut changed,
                stride: n,
                add: false,
            };
            gemm_on(
                isa,
                &pool,
                size,
                Mat::new(&a, k),
                Mat::new(&b, n),
                out,
                Some(&|tile| {
                    for i in 0..tile.rows {
                        let place = (tile.row + i) * n + tile.col;
                        for (j, x) in tile.row(i).iter_mut().enumerate() {
                            *x = *x * 2.0 + (place + j) as f32;
                        }
                    }
                }),
            );
            for (i, (&x, &y)) in c.iter().zip(&changed).enumerate() {
                assert_eq!(y, x * 2.0 + i as f32, "{size:?} element {i}");
            }
        }
    }
}
