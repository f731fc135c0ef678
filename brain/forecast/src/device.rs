//! Where a network is trained: on the processor, or, built with the feature `cuda` or `wgpu`, on the graphics adapter that is
//! found. It forecasts on the processor in either case.

use burn::tensor::Device;

/// With gradients.
pub(crate) fn training() -> Device {
    adapter().unwrap_or_else(Device::flex).autodiff()
}

/// The first adapter of CUDA, whose driver this build asks for.
#[cfg(feature = "cuda")]
pub(crate) fn adapter() -> Option<Device> {
    Some(Device::cuda(0))
}

/// The adapter that Vulkan, Metal or `DirectX` prefer; `None` where there is none, which is told once.
#[cfg(all(feature = "wgpu", not(feature = "cuda")))]
pub(crate) fn adapter() -> Option<Device> {
    static FOUND: std::sync::LazyLock<Option<Device>> = std::sync::LazyLock::new(|| {
        let found = Device::wgpu_options().init();
        found
            .inspect_err(|error| tracing::warn!(%error, "no graphics adapter: networks are trained on the processor"))
            .ok()
    });
    FOUND.clone()
}

/// None is looked for.
#[cfg(not(any(feature = "wgpu", feature = "cuda")))]
pub(crate) const fn adapter() -> Option<Device> {
    None
}
