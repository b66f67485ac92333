"""Writes the dashboards' JSON: python deploy/grafana/make.py (a test compares it with what is kept)."""

from __future__ import annotations

import json
from pathlib import Path

import movement
import pipeline
import quality

FOLDER = Path(__file__).with_name("dashboards")
BOARDS = {"movement": movement.board, "pipeline": pipeline.board, "quality": quality.board}


def texts() -> dict[str, str]:
    """File name -> JSON."""
    return {f"{name}.json": json.dumps(board(), indent=1, ensure_ascii=False) + "\n" for name, board in BOARDS.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in texts().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
