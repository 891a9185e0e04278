"""Where Azure ML puts a deployment's model: into the folder AZUREML_MODEL_DIR, in a folder of its name or version."""

from pathlib import Path

from compliance.scorer import MANIFEST, ModelCorrupt

MODEL_DIR = "AZUREML_MODEL_DIR"
VERSION = "SCORING_MODEL_VERSION"  # of the registered model, which the folder does not know


def model_folder(folder: Path) -> Path:
    """Find the model folder: the one given, or the only one below it.

    Raises:
        ModelCorrupt: There is none, or there are several.
    """
    if (folder / MANIFEST).is_file():
        return folder
    found = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}")) or sorted(
        path.parent for path in folder.glob(f"*/*/{MANIFEST}")
    )
    if len(found) != 1:
        raise ModelCorrupt(folder, f"it holds {len(found)} model folders; one was expected")
    return found[0]
