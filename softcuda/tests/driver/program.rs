//! A program written with cudarc's safe interface.

use cudarc::driver::{CudaContext, LaunchConfig, PushKernelArg, sys};
use cudarc::nvrtc::Ptx;

#[test]
fn a_cudarc_program_runs_unmodified() {
    let outcome = super::device(
        "program::a_cudarc_program_runs_unmodified",
        &[("SOFTCUDA_CAPABILITY", "9.0")],
        || {
            // SAFETY: only loads the library.
            assert!(unsafe { sys::is_culib_present() });
            let context = CudaContext::new(0).unwrap();
            assert_eq!(context.name().unwrap(), "softcuda 9.0");
            assert_eq!(context.compute_capability().unwrap(), (9, 0));
            assert_eq!(context.total_mem().unwrap(), 4 << 30);
            assert_eq!(context.mem_get_info().unwrap(), (4 << 30, 4 << 30));
            let processors = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
            assert_eq!(context.attribute(processors).unwrap(), 132);
            let stream = context.new_stream().unwrap();
            let numbers: Vec<f32> = (0..1000).map(|number| number as f32).collect();
            let a = stream.clone_htod(&numbers).unwrap();
            let mut b = stream.alloc_zeros::<f32>(1000).unwrap();
            assert_eq!(stream.clone_dtoh(&b).unwrap(), [0.0; 1000]);
            let start = stream
                .record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT))
                .unwrap();
            stream.memcpy_dtod(&a, &mut b).unwrap();
            let end = stream
                .record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT))
                .unwrap();
            assert_eq!(stream.clone_dtoh(&b).unwrap(), numbers);
            end.synchronize().unwrap();
            assert!(start.elapsed_ms(&end).unwrap() >= 0.0);
            // SAFETY: it is written before it is read.
            let mut pinned = unsafe { context.alloc_pinned::<f32>(1000) }.unwrap();
            pinned.as_mut_slice().unwrap().fill(3.0);
            stream.memcpy_htod(&pinned, &mut b).unwrap();
            let other = stream.fork().unwrap();
            assert_eq!(other.clone_dtoh(&b).unwrap(), [3.0; 1000]);
            stream.join(&other).unwrap();
            context.synchronize().unwrap();
        },
    );
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn graphs_are_captured_with_cudarc() {
    let outcome = super::device("program::graphs_are_captured_with_cudarc", &[], || {
        let context = CudaContext::new(0).unwrap();
        // SAFETY: one stream does all the work.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().unwrap();
        let mut a = stream.clone_htod(&[1_u32; 64]).unwrap();
        let mut b = stream.alloc_zeros::<u32>(64).unwrap();
        stream
            .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL)
            .unwrap();
        stream.memcpy_dtod(&a, &mut b).unwrap();
        stream.memset_zeros(&mut a).unwrap();
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = stream.end_capture(flags).unwrap().unwrap();
        graph.upload().unwrap();
        assert_eq!(
            stream.clone_dtoh(&b).unwrap(),
            [0; 64],
            "a capture runs nothing"
        );
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&b).unwrap(), [1; 64]);
        assert_eq!(stream.clone_dtoh(&a).unwrap(), [0; 64]);
        graph.launch().unwrap();
        assert_eq!(stream.clone_dtoh(&b).unwrap(), [0; 64]);
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}

#[test]
fn event_tracking_breaks_the_isolation_of_a_capture() {
    let outcome = super::device(
        "program::event_tracking_breaks_the_isolation_of_a_capture",
        &[],
        || {
            let context = CudaContext::new(0).unwrap();
            let (stream, other) = (context.new_stream().unwrap(), context.new_stream().unwrap());
            let a = other.clone_htod(&[1_u32; 64]).unwrap();
            let mut b = stream.alloc_zeros::<u32>(64).unwrap();
            stream
                .begin_capture(sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED)
                .unwrap();
            let error = stream.memcpy_dtod(&a, &mut b).unwrap_err();
            // cudarc keeps the wait's own error (905) for later; the copy after it finds the capture spoiled.
            assert_eq!(error.0 as i32, 901);
            let flags =
                sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
            assert!(stream.end_capture(flags).is_err());
        },
    );
    let Some(outcome) = outcome else { return };
    assert!(
        outcome.stderr.contains("recorded outside the capture"),
        "{}",
        outcome.stderr
    );
}

#[test]
fn kernels_are_launched_with_cudarc() {
    let outcome = super::device("program::kernels_are_launched_with_cudarc", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.new_stream().unwrap();
        let module = context
            .load_module(Ptx::from_src(include_str!("kernels.ptx")))
            .unwrap();
        let store = module.load_function("store").unwrap();
        let mut numbers = stream.alloc_zeros::<u32>(1000).unwrap();
        let (v, n) = (5_u32, 1000_u32);
        let mut launch = stream.launch_builder(&store);
        launch.arg(&mut numbers).arg(&v).arg(&n);
        // SAFETY: the kernel writes n numbers.
        unsafe { launch.launch(LaunchConfig::for_num_elems(1000)) }.unwrap();
        let expected: Vec<u32> = (5..1005).collect();
        assert_eq!(stream.clone_dtoh(&numbers).unwrap(), expected);
        assert!(module.load_function("none").is_err());
    });
    let Some(outcome) = outcome else { return };
    outcome.clean();
}
