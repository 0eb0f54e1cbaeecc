"""Who is told how a training goes: a log of JSON lines, TensorBoard, MLflow."""
