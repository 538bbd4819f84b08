//! y = a x + y on the first device, as any program of cudarc would do it.
//!
//! ```text
//! cargo build --release -p softcuda --examples
//! target/release/softcuda profile -- target/release/examples/saxpy
//! target/release/softcuda run -- target/release/examples/saxpy 1001     # one element too many: see what is said
//! ```

use cudarc::driver::{CudaContext, DriverError, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

/// As nvcc writes it, by hand.
const SAXPY: &str = ".version 8.0
.target sm_80
.address_size 64
.visible .entry saxpy(.param .u32 n, .param .f32 a, .param .u64 x, .param .u64 y)
{
    .reg .pred %p<2>;
    .reg .b32 %r<6>;
    .reg .f32 %f<5>;
    .reg .b64 %rd<8>;
    ld.param.u32 %r1, [n];
    ld.param.f32 %f1, [a];
    ld.param.u64 %rd1, [x];
    ld.param.u64 %rd2, [y];
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mov.u32 %r4, %tid.x;
    mad.lo.s32 %r5, %r2, %r3, %r4;
    setp.ge.u32 %p1, %r5, %r1;
    @%p1 bra done;
    mul.wide.u32 %rd3, %r5, 4;
    add.s64 %rd4, %rd1, %rd3;
    add.s64 %rd5, %rd2, %rd3;
    ld.global.f32 %f2, [%rd4];
    ld.global.f32 %f3, [%rd5];
    fma.rn.f32 %f4, %f1, %f2, %f3;
    st.global.f32 [%rd5], %f4;
done:
    ret;
}
";

fn main() -> Result<(), DriverError> {
    // SAFETY: asks only whether a library of that name can be loaded.
    if !unsafe { sys::is_culib_present() } {
        eprintln!("no CUDA driver: run this under `softcuda run`");
        std::process::exit(1);
    }
    // How many elements the kernel is told to work on; the buffers hold 1000.
    let n: u32 = std::env::args()
        .nth(1)
        .and_then(|text| text.parse().ok())
        .unwrap_or(1000);
    let context = CudaContext::new(0)?;
    println!("device: {}", context.name()?);
    let stream = context.default_stream();
    let kernel = context
        .load_module(Ptx::from_src(SAXPY))?
        .load_function("saxpy")?;
    let x: Vec<f32> = (0..1000).map(|i| i as f32).collect();
    let x = stream.clone_htod(&x)?;
    let mut y = stream.clone_htod(&[1f32; 1000])?;
    let a = 2f32;
    let mut launch = stream.launch_builder(&kernel);
    launch.arg(&n).arg(&a).arg(&x).arg(&mut y);
    let config = LaunchConfig {
        grid_dim: (4, 1, 1),
        block_dim: (256, 1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the arguments are those of the kernel; that it stays within the buffers is what the device checks.
    unsafe { launch.launch(config)? };
    let y = stream.clone_dtoh(&y)?;
    println!("y[0] = {}, y[999] = {}", y[0], y[999]);
    Ok(())
}
