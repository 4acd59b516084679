//! What the example needs of cnnx/c.h, and a safe `Session` over it.
use std::ffi::{c_char, c_void, CStr, CString};
use std::ptr::{null, null_mut};

/// `cnnx_session_options`
#[repr(C)]
struct Options {
    struct_size: usize,
    batch: i64,
    threads: i32,
    keep_batch_norm: i32,
    device: *const c_char,
    shapes: *const *const i64,
    ranks: *const i32,
    shape_count: usize,
}

/// `cnnx_value`
#[repr(C)]
struct Value {
    struct_size: usize,
    name: *const c_char,
    dtype: i32,
    rank: i32,
    shape: *const i64,
    bytes: u64,
}

extern "C" {
    fn cnnx_last_error() -> *const c_char;
    fn cnnx_load_onnx(path: *const c_char, net: *mut *mut c_void) -> i32;
    fn cnnx_net_free(net: *mut c_void);
    fn cnnx_session_create(net: *const c_void, options: *const Options, session: *mut *mut c_void) -> i32;
    fn cnnx_session_input(session: *const c_void, index: usize, value: *mut Value) -> i32;
    fn cnnx_session_output(session: *const c_void, index: usize, value: *mut Value) -> i32;
    fn cnnx_session_run(
        session: *mut c_void,
        input: *const f32,
        inputs: usize,
        output: *mut f32,
        outputs: usize,
    ) -> i32;
    fn cnnx_session_free(session: *mut c_void);
}

fn check(status: i32) -> Result<(), String> {
    if status == 0 {
        return Ok(());
    }
    // SAFETY: it is never null, and stays until the next call on this thread that fails.
    Err(unsafe { CStr::from_ptr(cnnx_last_error()) }.to_string_lossy().into_owned())
}

/// A net with one float32 input and one float32 output, for one image at a time.
pub struct Session {
    handle: *mut c_void,
    pub inputs: usize,
    pub outputs: usize,
}

// SAFETY: a session may be used from any thread; `run` takes it mutably, so by one at a time.
unsafe impl Send for Session {}

impl Session {
    pub fn load(path: &str, threads: i32) -> Result<Session, String> {
        let path = CString::new(path).map_err(|error| error.to_string())?;
        let options = Options {
            struct_size: std::mem::size_of::<Options>(),
            batch: 1,
            threads,
            keep_batch_norm: 0,
            device: null(),
            shapes: null(),
            ranks: null(),
            shape_count: 0,
        };
        let (mut net, mut handle) = (null_mut(), null_mut());
        // SAFETY: the pointers live for the calls; a handle is written only where the status is 0.
        unsafe {
            check(cnnx_load_onnx(path.as_ptr(), &mut net))?;
            let made = check(cnnx_session_create(net, &options, &mut handle));
            cnnx_net_free(net);
            made?;
        }
        let mut session = Session { handle, inputs: 0, outputs: 0 };
        let mut value = Value {
            struct_size: std::mem::size_of::<Value>(),
            name: null(),
            dtype: 0,
            rank: 0,
            shape: null(),
            bytes: 0,
        };
        // SAFETY: as above.
        unsafe {
            check(cnnx_session_input(session.handle, 0, &mut value))?;
            session.inputs = value.bytes as usize / 4;
            check(cnnx_session_output(session.handle, 0, &mut value))?;
            session.outputs = value.bytes as usize / 4;
        }
        Ok(session)
    }

    /// The scores of an image; an error where its size is not that of the net.
    pub fn run(&mut self, image: &[f32]) -> Result<Vec<f32>, String> {
        let mut scores = vec![0.0; self.outputs];
        // SAFETY: the lengths are those of the slices, and cnnx compares them with the net's.
        check(unsafe {
            cnnx_session_run(self.handle, image.as_ptr(), image.len(), scores.as_mut_ptr(), scores.len())
        })?;
        Ok(scores)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // SAFETY: nobody else has the handle.
        unsafe { cnnx_session_free(self.handle) }
    }
}
