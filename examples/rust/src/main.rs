//! Says which digit an image shows: classify NET.onnx IMAGE
//! IMAGE: the pixels, row by row, a byte each, 0 for the background.
mod cnnx;

fn classify(net: &str, image: &str) -> Result<usize, String> {
    let mut session = cnnx::Session::load(net, 1)?;
    let bytes = std::fs::read(image).map_err(|error| format!("cannot read {image}: {error}"))?;
    let pixels: Vec<f32> = bytes.iter().take(session.inputs).map(|&byte| f32::from(byte) / 255.0).collect();
    let scores = session.run(&pixels)?;
    let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map(|(class, _)| class).ok_or_else(|| "the net has no classes".to_string())
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.len() != 3 {
        eprintln!("usage: classify NET.onnx IMAGE");
        std::process::exit(2);
    }
    match classify(&arguments[1], &arguments[2]) {
        Ok(class) => println!("{class}"),
        Err(error) => {
            eprintln!("classify: {error}");
            std::process::exit(1);
        }
    }
}
