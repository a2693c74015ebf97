"""End with an error unless the default model is installed as a package, with the weights that were published."""

from penstock.embedding.model_files import DEFAULT_MODEL, DEFAULT_MODEL_PACKAGE, find_model_folder

folder = find_model_folder(DEFAULT_MODEL)
if DEFAULT_MODEL_PACKAGE not in folder.parts:
    raise SystemExit(f"{DEFAULT_MODEL} came from elsewhere, {folder}: it would not be in the image")
