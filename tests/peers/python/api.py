"""An HTTP API on Starlette and uvicorn that says what it was asked, and misbehaves when it is told to. Its OpenAPI document is at
`/openapi.yaml`, with `?more` a larger one. Usage: api.py PORT"""

import asyncio
import json
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

PETS = {}
SEEN = {"tries": 0, "open": 0, "gone": 0}

DOCUMENT = """\
openapi: 3.0.3
info: {title: Pets, version: '1'}
servers: [{url: /v1}]
paths:
  /pets:
    get:
      operationId: listPets
      summary: All pets
      parameters:
        - {name: tag, in: query, schema: {type: array, items: {type: string}}}
        - {name: 'filter[age]', in: query, schema: {type: integer}}
        - {name: X-Trace, in: header, schema: {type: string}}
      responses: {'200': {description: ok, content: {application/json: {schema: {type: array, items: {}}}}}}
    post:
      operationId: addPet
      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}
      responses: {'201': {description: made, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}}
  /pets/{id}:
    parameters: [{name: id, in: path, required: true, schema: {type: string}}]
    get:
      operationId: getPet
      responses: {'200': {description: ok, content: {application/json: {schema: {$ref: '#/components/schemas/Pet'}}}}}
    delete:
      operationId: removePet
      responses: {'204': {description: gone}}
  /echo/{what}:
    get:
      operationId: echo
      parameters:
        - {name: what, in: path, required: true, schema: {type: string}}
        - {name: q, in: query, schema: {type: string}}
      responses: {'200': {description: ok}}
  /do/{what}:
    parameters: [{name: what, in: path, required: true, schema: {type: string}}]
    get: {operationId: do, responses: {'200': {description: ok}}}
    post: {operationId: doOnce, responses: {'200': {description: ok}}}
components:
  schemas:
    Pet:
      type: object
      required: [id, name]
      properties:
        id: {type: string, readOnly: true}
        name: {type: string, minLength: 1}
        age: {type: integer, nullable: true}
        parent: {$ref: '#/components/schemas/Pet'}
"""
MORE = DOCUMENT.replace("  /echo/{what}:", "  /new:\n    get: {operationId: news, responses: {'200': {description: ok}}}\n  /echo/{what}:")


async def document(request):
    return Response(MORE if "more" in request.query_params else DOCUMENT, media_type="application/yaml")


async def echo(request):
    return JSONResponse(
        {
            "path": request.scope["raw_path"].decode(),
            "query": request.scope["query_string"].decode(),
            "key": request.headers.get("x-key"),
            "trace": request.headers.get("x-trace"),
            "agent": request.headers.get("user-agent"),
        }
    )


async def list_pets(request):
    seen = await echo(request)
    return JSONResponse([json.loads(seen.body), *PETS.values()])


async def add_pet(request):
    pet = {"id": str(len(PETS) + 1), **await request.json()}
    PETS[pet["id"]] = pet
    return JSONResponse(pet, 201)


async def get_pet(request):
    pet = PETS.get(request.path_params["id"])
    return JSONResponse(pet) if pet else JSONResponse({"detail": "no such pet"}, 404)


async def remove_pet(request):
    PETS.pop(request.path_params["id"], None)
    return Response(status_code=204)


async def flood():
    for _ in range(20):
        yield b"x" * (1 << 20)


async def do(request):
    what = request.path_params["what"]
    SEEN["tries"] += 1
    if what.isdigit():
        headers = {"retry-after": "7"} if what in ("429", "503") else {}
        return PlainTextResponse(f"because {what}", int(what), headers=headers)
    if what == "redirect":
        return RedirectResponse("http://127.0.0.2:1/elsewhere")
    if what == "garbage":
        return Response(b"{\"a\": ", media_type="application/json")
    if what == "image":
        return Response(b"\x89PNG\x00\xff", media_type="image/png")
    if what == "binary":
        return Response(b"\x00\xff\xfe", media_type="application/octet-stream")
    if what == "big":
        return StreamingResponse(flood(), media_type="text/plain")
    if what == "packed":
        return Response(b"x", headers={"content-encoding": "gzip"})
    if what == "seen":
        return JSONResponse(SEEN)
    if what == "never":
        SEEN["open"] += 1
        try:
            while not await request.is_disconnected():
                await asyncio.sleep(0.01)
        finally:
            SEEN["gone"] += 1
    return PlainTextResponse("done")


routes = [
    Route("/v1/pets", list_pets),
    Route("/v1/pets", add_pet, methods=["POST"]),
    Route("/v1/pets/{id}", get_pet),
    Route("/v1/pets/{id}", remove_pet, methods=["DELETE"]),
    Route("/v1/echo/{what:path}", echo),
    Route("/v1/do/{what}", do, methods=["GET", "POST"]),
    Route("/v1/new", lambda request: PlainTextResponse("news")),
    Route("/openapi.yaml", document),
]

uvicorn.run(Starlette(routes=routes), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
