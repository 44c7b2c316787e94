"""One run of the annotation page: pictures, their annotations, and the parts that encode, answer and save."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..errors import AnnotationError, ArgumentError, ImageError, Inter2FormerError
from ..runtime import EncodedImage, Segmenter
from ..wording import counted
from . import dataset as coco
from .conflicts import conflict_notice
from .dataset import Dataset, PictureRecord
from .document import Document, Objects
from .encodings import Encodings
from .engine import Engine
from .exports import export
from .hub import Hub
from .lock import FolderLock
from .missing import attach_missing, content_of, missing_pictures
from .photos import Gallery
from .results import named
from .saver import Saver

_AHEAD = 1  # pictures encoded before somebody asks for them


class Workspace:
    """Everything behind the page. Pictures are named by their index in the gallery.

    Documents are changed in one thread (the event loop's) and read by the saver's: `changes` guards both.
    """

    def __init__(
        self,
        segmenter: Segmenter,
        gallery: Gallery,
        out: Path,
        classes: Sequence[str] = (),
        attach: Sequence[str] = (),
        address: str = "",
    ) -> None:
        """Read what was annotated before and start the threads.

        Args:
            segmenter: answers.
            gallery: the pictures.
            out: the annotation folder; made if it is missing.
            classes: names to have from the start, besides those that were saved.
            attach: "OLD=NEW", see missing.attach_missing.
            address: of the page, told to whoever wants to open the folder meanwhile.

        Raises:
            AnnotationError: see dataset.read; or another run has the folder open.
            ArgumentError: `out` cannot be made, or a class's name or `attach` is unusable.
        """
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ArgumentError(f"--out {out}: cannot make the folder ({error.strerror or error})") from error
        self._lock = FolderLock(out, address)
        try:
            self._start(segmenter, gallery, out, [coco.checked_name(name) for name in classes], attach)
        except BaseException:
            self._lock.release()
            raise

    def _start(
        self, segmenter: Segmenter, gallery: Gallery, out: Path, classes: Sequence[str], attach: Sequence[str]
    ) -> None:
        self.segmenter = segmenter
        self.gallery = gallery
        self.out = out.resolve()
        self.hub = Hub()
        self.engine = Engine()
        self.changes = threading.RLock()
        self.problem = ""  # why saving fails, while it does
        self._dataset = coco.read(self.out, gallery.root, segmenter.manifest.id)
        attached = attach_missing(self._dataset, gallery, attach)
        # What a person should know at the start, a line each.
        self.notices = [*gallery.left_out, *attached.lines, *filter(None, [conflict_notice(self.out)])]
        self._missing = missing_pictures(self._dataset, gallery.root)
        self._names = named(self._dataset)
        self._next_object = self._dataset.next_object()
        self._next_picture = self._dataset.next_picture()
        self._documents: dict[int, Document] = {}
        self._contents: dict[int, tuple[str, int]] = {}  # of the pictures in `_documents`, see missing.content_of
        self._photo_notes: dict[int, str] = {}  # what is to be known of pictures that were opened
        self._replaced: set[int] = set()  # pictures that were annotated when their files were others
        if classes and not self._dataset.pictures:
            self._dataset.categories = {}  # no need of the default one
        self.encodings = Encodings(segmenter, gallery, self._encoding_changed, self.engine.forget)
        self.saver = Saver(self.out, self.snapshot, self._saved, lambda: self._missing)
        for name in classes:
            if name not in self._dataset.categories.values():
                self.add_category(name)
        for name in attached.names:
            self.saver.touch(name)

    def close(self) -> None:
        """Stop the threads and save what is left.

        Raises:
            Inter2FormerError: it cannot be saved.
        """
        self.encodings.close()
        try:
            self.saver.close()
        finally:
            self._lock.release()

    def document(self, index: int) -> Document:
        """Get a picture's annotations; the first time, its file is looked at.

        Raises:
            ArgumentError: no such picture.
            ImageError: it cannot be read.
            AnnotationError: what was saved belongs to a picture of another size.
        """
        self.check(index)
        found = self._documents.get(index)
        if found is not None:
            return found
        photo = self.gallery.photos[index]
        width, height = photo.size()
        content, note = content_of(photo.path), photo.note()
        record = self._dataset.pictures.get(photo.name)
        with self.changes:
            self._contents.setdefault(index, content)
            if note:
                self._photo_notes[index] = f"{photo.name}: {note}"
            if record is not None and record.sha256 not in ("", content[0]):
                self._replaced.add(index)
            if record is None:
                return self._documents.setdefault(index, Document(width, height))
            if (record.width, record.height) != (width, height):
                raise AnnotationError(
                    f"{photo.name}: it is {width} x {height} pixels now, but its annotations are for {record.width} x "
                    f"{record.height}; take it out of {self.out / coco.FILE_NAME} or bring the old picture back"
                )
            return self._documents.setdefault(index, Document(width, height, record.objects, record.done))

    def look_again(self, index: int) -> Document:
        """Get the annotations of a picture whose file was replaced after they had been given out.

        Raises:
            ImageError: it cannot be read, or its size does not fit them.
            AnnotationError: see `document`.
        """
        photo, document = self.gallery.photos[index], self._documents[index]
        width, height = photo.size()
        fits = (width, height) == (document.width, document.height)
        if not document.revision and not document.objects and not fits:
            with self.changes:  # nothing is lost with it
                del self._documents[index], self._contents[index]
            return self.document(index)
        if not fits:
            raise ImageError(
                f"{photo.name}: it is {width} x {height} pixels now, but was opened with {document.width} x "
                f"{document.height}; bring the old picture back, or end the command and start it again"
            )
        content = content_of(photo.path)
        with self.changes:
            if document.objects and content != self._contents[index]:
                self._replaced.add(index)
            self._contents[index] = content
        return document

    def notice(self, index: int) -> str:
        """Say what a person should know who opens a picture; mostly nothing."""
        notes = [self._photo_notes.get(index, "")]
        if index in self._replaced:
            name = self.gallery.photos[index].name
            notes.append(f"{name}: the file is another one than when it was annotated; do its objects still fit?")
        return "; ".join(filter(None, notes))

    def check(self, index: int) -> None:
        """Check that there is a picture with this index.

        Raises:
            ArgumentError: there is none.
        """
        if not 0 <= index < len(self.gallery.photos):
            raise ArgumentError(f"picture: there are {len(self.gallery.photos)}, found number {index}")

    def look_at(self, index: int) -> None:
        """Encode a picture that somebody looks at, and then the next."""
        ahead = range(index + 1, min(index + 1 + _AHEAD, len(self.gallery.photos)))
        self.encodings.want([index, *ahead])

    async def encoded(self, index: int) -> EncodedImage:
        """Wait for an encoded image.

        Raises:
            ImageError: the picture cannot be read.
            Inter2FormerError: it cannot be encoded for another reason.
        """
        import asyncio

        # Others may wait for the same picture: that one request ends must not end it for them.
        return await asyncio.shield(asyncio.wrap_future(self.encodings.get(index)))

    def new_object_id(self) -> int:
        """Take an id that no other object ever had."""
        with self.changes:
            self._next_object += 1
            return self._next_object - 1

    @property
    def categories(self) -> dict[int, str]:
        """Class names by id, in their order."""
        return dict(self._dataset.categories)

    def add_category(self, name: object) -> int:
        """Add a class.

        Returns:
            Its id.

        Raises:
            ArgumentError: the name is unusable, or another class's.
        """
        checked = self._unused_name(name)
        with self.changes:
            id = self._dataset.next_category()
            self._dataset.categories[id] = checked
        self._categories_changed()
        return id

    def rename_category(self, id: int, name: object) -> None:
        """Give a class another name.

        Raises:
            ArgumentError: there is no such class; or the name is unusable, or another class's.
        """
        self.check_category(id)
        if self._dataset.categories[id] == name:
            return
        checked = self._unused_name(name)
        with self.changes:
            self._dataset.categories[id] = checked
        self._categories_changed()

    def remove_category(self, id: int) -> None:
        """Take a class away.

        Raises:
            ArgumentError: there is no such class, it is the only one, or an object has it or could have it after undo.
        """
        self.check_category(id)
        if len(self._dataset.categories) == 1:
            raise ArgumentError("class: the only one there is")
        with self.changes:
            users = {picture.name for picture in self._dataset.pictures.values() if _uses(picture.objects, id)}
            # Undo could bring an object of this class back.
            for index, document in self._documents.items():
                if any(_uses(objects, id) for objects in document.history()):
                    users.add(self.gallery.photos[index].name)
            if users:
                name = self._dataset.categories[id]
                raise ArgumentError(f"class {name!r}: objects in {', '.join(sorted(users)):.80} have it or had it")
            del self._dataset.categories[id]
        self._categories_changed()

    def check_category(self, id: int) -> None:
        """Check that there is a class with this id.

        Raises:
            ArgumentError: there is none.
        """
        if id not in self._dataset.categories:
            raise ArgumentError(f"class: there is none with id {id}")

    def changed(self, index: int, tab: str) -> None:
        """Save a picture's document that has changed, and tell the other pages.

        Args:
            index: of the picture.
            tab: what the page that changed it calls itself.
        """
        name = self.gallery.photos[index].name
        document = self._documents[index]
        with self.changes:
            old = self._dataset.pictures.get(name)
            id = old.id if old is not None else self._next_picture
            self._next_picture = max(self._next_picture, id + 1)
            self._dataset.pictures[name] = PictureRecord(
                id,
                name,
                document.width,
                document.height,
                _visible(document),
                document.done,
                self._names.base(name),
                *self._contents[index],
            )
            self._replaced.discard(index)
        self.saver.touch(name)
        self.hub.publish({"type": "document", "image": index, "tab": tab, "revision": document.revision})
        self.hub.publish({"type": "picture", "image": index, **self.picture_state(index)})

    def snapshot(self) -> Dataset:
        """Copy the dataset as it is now."""
        with self.changes:
            return replace(
                self._dataset, categories=dict(self._dataset.categories), pictures=dict(self._dataset.pictures)
            )

    def picture_state(self, index: int) -> dict[str, Any]:
        """Describe a picture as the page's list of pictures shows it."""
        record = self._dataset.pictures.get(self.gallery.photos[index].name)
        if record is None:
            return {"objects": 0, "done": False}
        return {"objects": len(record.objects), "done": record.done}

    @property
    def missing(self) -> list[dict[str, Any]]:
        """Describe the annotated pictures whose files are not there, as the page gets them."""
        records = [self._dataset.pictures[name] for name in sorted(self._missing)]
        return [{"name": record.name, "objects": len(record.objects), "done": record.done} for record in records]

    def export(self, kind: str) -> int:
        """Write all files of a kind (exports.KINDS) into `out`, without pictures that are missing.

        Returns:
            How many there are.

        Raises:
            Inter2FormerError: one cannot be written; the others are.
        """
        self.saver.flush()
        dataset = self.snapshot()
        self._missing = missing_pictures(dataset, self.gallery.root)
        done = self.saver.alone(lambda: export(kind, dataset, self.out, self.gallery.root, self._missing))
        if done.failed:
            raise Inter2FormerError(
                f"{counted(len(done.written), 'file')} written to {self.out}, but {len(done.failed)} failed: "
                f"{done.failed[0]}"
            )
        return len(done.written)

    def _unused_name(self, name: object) -> str:
        checked = coco.checked_name(name)
        if checked in self._dataset.categories.values():
            raise ArgumentError(f"class {checked!r}: it is there already")
        return checked

    def _categories_changed(self) -> None:
        self.saver.touch()
        self.hub.publish({"type": "classes", "classes": self.class_list()})

    def class_list(self) -> list[dict[str, Any]]:
        """Describe the classes as the page gets them."""
        return [{"id": id, "name": name} for id, name in self._dataset.categories.items()]

    def _encoding_changed(self, index: int) -> None:
        self.hub.publish({"type": "encoding", "image": index, **vars(self.encodings.progress(index))})

    def _saved(self, problem: str) -> None:
        self.problem = problem
        self.hub.publish({"type": "saved", "problem": problem, "pending": self.saver.pending})


def _visible(document: Document) -> Objects:
    """Choose the objects that have a mask."""
    return tuple(annotation for annotation in document.objects if annotation.mask.area)


def _uses(objects: Objects, category: int) -> bool:
    return any(annotation.category == category for annotation in objects)
