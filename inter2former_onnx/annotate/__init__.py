"""The annotation page: pictures, clicks and masks in a browser on this machine, COCO files out.

`server.serve` runs it for `inter2former annotate`; `app.build_app` is the application around a `workspace.Workspace`.
"""
